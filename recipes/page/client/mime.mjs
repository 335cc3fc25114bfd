// Rich output: what user code pushes with a media type.

const isText = (type) => /^text\/|[+/](xml|json)$|^application\/javascript$/.test(type);

/**
 * A `data:` address of the value, for an `<img>` or a download. A worker that
 * does not tell the encoding means base64 where the type is binary.
 */
export function mimeUrl({ mime_type, data, encoding }) {
  const type = mime_type.split(";")[0].trim().toLowerCase();
  const isBase64 = encoding === undefined ? !isText(type) : encoding.toLowerCase() === "base64";
  if (isBase64) return `data:${type};base64,${data.replace(/\s/g, "")}`;
  return `data:${type};charset=utf-8,${encodeURIComponent(data.toWellFormed?.() ?? data)}`;
}
