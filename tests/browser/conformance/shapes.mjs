// The form of every message that a worker may send: which fields it has, and of what types.

const kinds = ["Constructor", "Keyword", "Label", "MethodCall", "Modtype", "Module", "Type", "Value", "Variant"];
const sources = ["lexer", "parser", "typer", "warning", "unknown", "env", "config"];

// A form is a function that answers with what is wrong, or with nothing.
const is = (what, test) => (value) => (test(value) ? [] : [`${JSON.stringify(value)} is not ${what}`]);
const string = is("a string", (v) => typeof v === "string");
const bool = is("a boolean", (v) => typeof v === "boolean");
const int = is("an integer", Number.isInteger);
const among = (list) => is(`one of ${list}`, (v) => list.includes(v));
const like = (pattern) => is(`like ${pattern}`, (v) => typeof v === "string" && pattern.test(v));
const optional = (form) => Object.assign((value) => form(value), { optional: true });
const listOf = (form) => (value) =>
  Array.isArray(value)
    ? value.flatMap((item, i) => form(item).map((problem) => `[${i}]: ${problem}`))
    : [`${JSON.stringify(value)} is not an array`];
// Further fields are additions, which are allowed.
const object = (fields) => (value) => {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return [`${JSON.stringify(value)} is not an object`];
  return Object.entries(fields).flatMap(([name, form]) => {
    if (!(name in value)) return form.optional ? [] : [`.${name} is missing`];
    return form(value[name]).map((problem) => `.${name}: ${problem}`);
  });
};

const position = object({ pos_cnum: int, pos_lnum: int, pos_bol: int });
const location = object({ loc_start: position, loc_end: position });
const mime = object({ mime_type: string, data: string, encoding: optional(among(["base64"])) });
const problem = object({
  kind: like(/^(error|(warning|warning_as_error|alert|alert_as_error):.+)$/s),
  loc: location,
  main: string,
  sub: listOf(string),
  source: among(sources),
});

const forms = {
  ready: object({}),
  init_error: object({ message: string, env_id: optional(string) }),
  output_at: object({ cell_id: int, loc: int, caml_ppf: string, mime_vals: listOf(mime) }),
  output: object({
    cell_id: int, stdout: string, stderr: string, caml_ppf: string, mime_vals: listOf(mime),
    errors: optional(listOf(problem)),
  }),
  completions: object({
    cell_id: int,
    completions: object({
      from: int,
      to: int,
      entries: listOf(object({ name: string, kind: among(kinds), desc: string, info: string, deprecated: bool })),
    }),
  }),
  types: object({
    cell_id: int,
    types: listOf(object({ loc: location, type_str: string, tail: among(["no", "tail_position", "tail_call"]) })),
  }),
  errors: object({ cell_id: int, errors: listOf(problem) }),
  eval_error: object({ cell_id: int, message: string }),
  env_created: object({ env_id: string }),
  env_destroyed: object({ env_id: string }),
  // additions
  envs: object({ env_ids: listOf(string) }),
  stream: object({ cell_id: int, stdout: optional(string), stderr: optional(string) }),
  progress: object({ cell_id: optional(int), library: string, done: int, total: int }),
};

/** The types of messages that the contract knows; clients pass over others. */
export const contractTypes = Object.keys(forms).slice(0, 10);

/** What is wrong with the form of a message; nothing for types that are not known here. */
export function problemsOf(message) {
  if (typeof message?.type !== "string") return [`${JSON.stringify(message)} has no type`];
  return (forms[message.type]?.(message) ?? []).map((p) => `${message.type}${p}`);
}
