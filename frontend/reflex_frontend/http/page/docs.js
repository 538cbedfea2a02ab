// Renders this server's own /openapi.json.
import { byId, element } from "./dom.js";

let schemas = {};

async function begin() {
  const document = await (await fetch("/openapi.json")).json();
  schemas = document.components?.schemas ?? {};
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => shown(method.toUpperCase(), path, operation)));
  byId("operations").replaceChildren(...operations);
}

function shown(method, path, operation) {
  const heading = element("h2", { id: operation.operationId }, element("span", { class: "method" }, method), ` ${path}`);
  const section = element("section", { class: "operation", "aria-labelledby": operation.operationId }, heading, element("p", {}, operation.summary));
  const parameters = operation.parameters ?? [];
  if (parameters.length > 0) section.append(...table("Headers", parameters.map((each) => [each.name, each.schema, each.required, each.description])));
  const body = operation.requestBody?.content["application/json"];
  if (body) section.append(...request(body));
  section.append(...answers(operation.responses));
  return section;
}

function request({ schema, examples }) {
  const forms = schema.oneOf ?? [schema];
  const fields = new Map();
  for (const form of forms) {
    for (const [name, field] of Object.entries(form.properties)) {
      if (field.type !== "null") fields.set(name, field);
    }
  }
  const always = (name) => forms.every((form) => form.required?.includes(name));
  const parts = table("The body", [...fields].map(([name, field]) => [name, field, always(name), field.description]));
  for (const [name, example] of Object.entries(examples ?? {})) {
    parts.push(element("h3", {}, `Example: ${name}`), element("pre", { tabindex: "0", "aria-label": `Example: ${name}` }, JSON.stringify(example.value, null, 1)));
  }
  return parts;
}

function answers(responses) {
  const parts = [];
  const errors = [];
  for (const [status, response] of Object.entries(responses)) {
    const schema = response.content?.["application/json"]?.schema;
    if (schema?.$ref) errors.push([status, response.description]);
    else if (schema?.properties) parts.push(...table(`${status}: ${response.description}`, Object.entries(schema.properties).map(
      ([name, field]) => [name, field, schema.required?.includes(name), field.description])));
    else parts.push(element("h3", {}, `${status}: ${response.description}`));
  }
  if (errors.length > 0) parts.push(element("h3", {}, "Errors"), ...errorParts(errors));
  return parts;
}

function errorParts(errors) {
  const fields = Object.keys(schemas.Error?.properties ?? {}).join(", ");
  const list = element("dl", {}, ...errors.flatMap(([status, codes]) => [element("dt", {}, status), element("dd", {}, codes)]));
  return [element("p", {}, `Every error is one object with ${fields}.`), list];
}

function table(heading, rows) {
  const cells = ["Field", "Type", "Required", "Rule"].map((name) => element("th", { scope: "col" }, name));
  const lines = rows.map(([name, schema, isRequired, text]) => element("tr", {},
    element("th", { scope: "row" }, element("code", {}, name)),
    element("td", {}, typeOf(schema)),
    element("td", {}, isRequired ? "yes" : "no"),
    element("td", {}, [ruleOf(schema), text].filter(Boolean).join("; "))));
  const whole = element("table", {}, element("thead", {}, element("tr", {}, ...cells)), element("tbody", {}, ...lines));
  return [element("h3", {}, heading), element("div", { class: "scrolls", tabindex: "0", role: "region", "aria-label": heading }, whole)];
}

function typeOf(schema) {
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(" or ");
  if (schema.const !== undefined) return String(schema.const);
  if (schema.enum) return schema.enum.join(" or ");
  const type = [schema.type ?? "any"].flat().join(" or ");
  return schema.items?.type ? `${type} of ${typeOf(schema.items)}` : type;
}

function ruleOf(schema) {
  const inner = schema.anyOf?.find((each) => each.type !== "null") ?? schema;
  const bounds = [["minLength", "maxLength", "characters"], ["minItems", "maxItems", "values"], ["minimum", "maximum", ""]];
  const rules = bounds.map(([least, most, unit]) => span(inner[least], inner[most], unit));
  if (inner.items) rules.push(span(inner.items.minimum, inner.items.maximum, "each"));
  if (inner.default !== undefined) rules.push(`by default ${inner.default}`);
  if (inner.properties) rules.push(`with ${Object.keys(inner.properties).join(", ")}`);
  return rules.filter(Boolean).join("; ");
}

function span(least, most, unit) {
  if (least === undefined && most === undefined) return "";
  const text = least === most ? `${least}` : least === undefined ? `at most ${most}` : most === undefined ? `at least ${least}` : `${least} to ${most}`;
  return `${text} ${unit}`.trim();
}

begin();
