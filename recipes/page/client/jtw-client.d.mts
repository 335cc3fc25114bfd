// Types of jtw-client.mjs. Positions are indices into JavaScript strings everywhere.

/** Where something is in a source. Lines count from 1. */
export interface Position {
  pos_cnum: number;
  pos_lnum: number;
  /** The position at which the line begins. */
  pos_bol: number;
}

export interface Location {
  loc_start: Position;
  loc_end: Position;
}

/** Rich output. `encoding` is absent where the worker does not tell it. */
export interface MimeValue {
  mime_type: string;
  data: string;
  encoding?: string;
}

/** What one phrase answers: `loc` is where its first item ends. */
export interface OutputAt {
  type: "output_at";
  cell_id: number;
  loc: number;
  caml_ppf: string;
  mime_vals: MimeValue[];
}

/** What a program has printed since the last message of this type. */
export interface Stream {
  type: "stream";
  cell_id: number;
  stdout?: string;
  stderr?: string;
}

/** `library` is loaded next, after `done` of `total` libraries; without a cell during `init`. */
export interface Progress {
  type: "progress";
  cell_id?: number;
  library: string;
  done: number;
  total: number;
}

/** The end of an evaluation. Errors in the code are on `stderr`. */
export interface Output {
  type: "output";
  cell_id: number;
  stdout: string;
  stderr: string;
  /** The answers of all phrases. */
  caml_ppf: string;
  mime_vals: MimeValue[];
  /** The answers one by one. */
  phrases: OutputAt[];
  /** Errors and warnings of the code with their places, if the worker tells them. */
  errors?: ErrorEntry[];
}

export type CompletionKind =
  | "Constructor" | "Keyword" | "Label" | "MethodCall" | "Modtype" | "Module" | "Type" | "Value" | "Variant";

export interface CompletionEntry {
  name: string;
  kind: CompletionKind;
  /** The type, mostly. */
  desc: string;
  info: string;
  deprecated: boolean;
}

export interface Completions {
  type: "completions";
  cell_id: number;
  /** An entry replaces the source from `from` to `to`. */
  completions: { from: number; to: number; entries: CompletionEntry[] };
}

export interface TypeEntry {
  loc: Location;
  type_str: string;
  tail: "no" | "tail_position" | "tail_call";
}

export interface Types {
  type: "types";
  cell_id: number;
  types: TypeEntry[];
}

export interface ErrorEntry {
  /** `error`, or `warning:…`, `warning_as_error:…`, `alert:…`, `alert_as_error:…` with a name. */
  kind: string;
  loc: Location;
  main: string;
  sub: string[];
  source: "lexer" | "parser" | "typer" | "warning" | "unknown" | "env" | "config";
}

export interface Errors {
  type: "errors";
  cell_id: number;
  errors: ErrorEntry[];
}

export interface Callbacks {
  /** After each phrase. */
  onOutputAt?: (message: OutputAt) => void;
  /** While a program prints. */
  onStream?: (message: Stream) => void;
  /** While libraries are loaded. */
  onProgress?: (message: Progress) => void;
}

export interface Options extends Callbacks {
  /** Milliseconds for each request, 30000 unless given; `Infinity` waits for ever. */
  timeout?: number;
  /** Milliseconds for `init` and for the index; as `timeout` unless given. */
  initTimeout?: number;
  /** Gets messages of types that this library does not know. */
  onMessage?: (message: unknown) => void;
}

export interface CreateOptions extends Options {
  /** Libraries that are required at the start. */
  requires?: string[];
  /** Which universe of a site's universe.json; the first unless given. */
  universe?: string;
  /** The site's root, where `compiler/` lies, if the index does not say it. */
  baseOutputUrl?: string;
}

export interface EvalOptions extends Callbacks {
  /** The environment, `default` unless given. */
  env?: string;
  /** Milliseconds for this evaluation. */
  timeout?: number;
}

export interface InitOptions {
  findlib_requires?: string[] | null;
  stdlib_dcs?: string | null;
  findlib_index?: string | null;
}

/** A universe's findlib_index.json. */
export interface Index {
  compiler: { version: string; content_hash: string; worker_url?: string };
  meta_files?: string[];
  metas?: string[];
  [field: string]: unknown;
}

export interface Found<W> {
  worker: W;
  findlib_index: string;
  stdlib_dcs: string;
  index: Index;
}

/** As much of a browser's `Worker` as the client uses. */
export interface WorkerLike {
  onmessage: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  postMessage(text: string): void;
  terminate(): void;
}

export class OcamlWorker {
  /** Starts a worker; `init` makes it usable. */
  constructor(workerUrl: string | URL, options?: Options);

  /** Makes a client from the address of a universe's findlib_index.json or of a site's universe.json. It is ready. */
  static create<W extends OcamlWorker>(
    this: new (workerUrl: string | URL, options?: Options) => W, url: string | URL, options?: CreateOptions,
  ): Promise<W>;

  /** Starts the worker of a universe, and does not initialise it. */
  static fromIndex<W extends OcamlWorker>(
    this: new (workerUrl: string | URL, options?: Options) => W,
    indexUrl: string, baseOutputUrl?: string, options?: Options,
  ): Promise<Found<W>>;

  /** How `create` and `fromIndex` read an index. A subclass may have another way. */
  static fetchJson(url: URL, timeout: number): Promise<unknown>;
  /** How a worker is started. A subclass may have another way. */
  static startWorker(url: URL): WorkerLike;

  /** The universe's index, when the client was made from one. */
  index: Index | undefined;

  init(options?: InitOptions): Promise<void>;
  /** When the toplevel is usable: at once if nobody has called `init`. */
  waitReady(): Promise<void>;

  eval(code: string, env?: string | EvalOptions): Promise<Output>;
  complete(source: string, position: number, env?: string): Promise<Completions>;
  typeAt(source: string, position: number, env?: string): Promise<Types>;
  errors(source: string, env?: string): Promise<Errors>;

  /** Makes an environment; one that is there is emptied. */
  createEnv(id: string): Promise<{ type: "env_created"; env_id: string }>;
  destroyEnv(id: string): Promise<{ type: "env_destroyed"; env_id: string }>;
  listEnvs(): Promise<string[]>;

  /**
   * Stops what is running and rejects all requests; then a new worker evaluates
   * again what had been evaluated, unless `replay` is false. Says how many
   * evaluations and environments were made again.
   */
  interrupt(options?: { replay?: boolean }): Promise<{ replayed: number }>;
  terminate(): void;
}

/** UTF-16 index to UTF-8 offset, and back. */
export function toByteOffset(text: string, index: number): number;
export function fromByteOffset(text: string, offset: number): number;

/** A `data:` address of rich output. */
export function mimeUrl(value: MimeValue): string;

export class OcamlWorkerError extends Error {}
/** An index or a worker's script cannot be loaded, or is not one. */
export class LoadError extends OcamlWorkerError {
  readonly url: string;
  readonly status: number | undefined;
}
/** The worker refuses `init`. */
export class InitError extends OcamlWorkerError {}
/** The worker failed at a request. */
export class RequestError extends OcamlWorkerError {}
/** An environment could not be made, removed or listed. */
export class EnvironmentError extends OcamlWorkerError {
  readonly env_id: string | undefined;
}
/** No answer in time; the worker goes on. */
export class TimeoutError extends OcamlWorkerError {
  /** Milliseconds waited. */
  readonly timeout: number;
}
/** `interrupt` was called before the answer came. */
export class InterruptedError extends OcamlWorkerError {}
/** `terminate` was called. */
export class TerminatedError extends OcamlWorkerError {}
/** Something threw in the worker outside the toplevel's control. */
export class CrashError extends OcamlWorkerError {}
