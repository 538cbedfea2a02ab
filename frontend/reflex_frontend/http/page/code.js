// The lines that ask the same from a program, with this server's own address.
import { hasKey } from "./api.js";

const NEEDS_QUOTES = /['%\\]/g;

export function pythonLines(observation, cameras) {
  const pictures = cameras.length === 0 ? "" : `\n        images={${cameras.map((name) => `${JSON.stringify(name)}: Path("picture.jpg")`).join(", ")}},`;
  return [
    ...(hasKey() ? ["import os"] : []),
    ...(cameras.length === 0 ? [] : ["from pathlib import Path"]),
    ...(hasKey() || cameras.length > 0 ? [""] : []),
    "from reflex.client import ReflexClient",
    "",
    `with ReflexClient("${location.origin}"${hasKey() ? ', api_key=os.environ["REFLEX_API_KEY"]' : ""}) as client:`,
    "    print(client.embodiment().control_hz, client.embodiment().action_names)",
    "    result = client.act(",
    `        instruction=${JSON.stringify(observation.instruction)},`,
    `        state=${JSON.stringify(observation.state)},${pictures}`,
    "    )",
    '    print(result["model_version"], result["actions"][0])',
  ].join("\n");
}

export function curlLines(observation, cameras) {
  const pictures = cameras.map((name) => `${JSON.stringify(name)}: "%s"`).join(", ");
  const body = `{"instruction": ${JSON.stringify(observation.instruction)}, "state": ${JSON.stringify(observation.state)}`;
  const template = `${body.replace(NEEDS_QUOTES, escaped)}${cameras.length === 0 ? "" : `, "images": {${pictures}}`}}`;
  const files = cameras.map(() => ' "$(base64 -w0 picture.jpg)"').join("");
  const key = hasKey() ? ' -H "Authorization: Bearer $REFLEX_API_KEY"' : "";
  return `printf '${template}'${files} \\\n  | curl -s ${location.origin}/act -H 'Content-Type: application/json'${key} -d @-`;
}

// Inside printf '...': a single quote ends the shell's string, % and \ are printf's own.
function escaped(character) {
  return { "'": "'\\''", "%": "%%", "\\": "\\\\" }[character];
}
