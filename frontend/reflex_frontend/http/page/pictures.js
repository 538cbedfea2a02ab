// A camera's picture as base64: of a file, or made up, in the size that the policy takes.
const SIDE = 224;
const LARGEST_SIDE = 1024;
const QUALITY = 0.9;

export function wantedSize(config, camera) {
  const input = config.inputs.find((each) => each.name === `image.${camera}`);
  const [height, width] = input?.shape ?? [-1, -1];
  return { width: width > 0 ? width : null, height: height > 0 ? height : null };
}

export async function picture(file, size) {
  return file ? fromFile(file, size) : madeUp(size);
}

async function fromFile(file, size) {
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Error(`${file.name} is no picture that this browser can read`);
  });
  const shrink = Math.min(1, LARGEST_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = canvasOf(size.width ?? Math.max(1, Math.round(bitmap.width * shrink)), size.height ?? Math.max(1, Math.round(bitmap.height * shrink)));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return base64(canvas);
}

function madeUp(size) {
  const canvas = canvasOf(size.width ?? SIDE, size.height ?? SIDE);
  const context = canvas.getContext("2d");
  const { width, height } = canvas;
  context.fillStyle = "#9aa3ad";
  context.fillRect(0, 0, width, height);
  context.fillStyle = "#6b4f36";
  context.fillRect(0, height * 0.6, width, height * 0.4);
  context.fillStyle = "#c62828";
  context.fillRect(width * 0.42, height * 0.42, width * 0.16, height * 0.22);
  return base64(canvas);
}

function canvasOf(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

function base64(canvas) {
  return canvas.toDataURL("image/jpeg", QUALITY).split(",", 2)[1];
}
