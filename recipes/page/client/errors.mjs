// What can go wrong between a program and its toplevel, one class for each thing
// that a program may want to do about it. Errors in OCaml code are none of these:
// they are answers (`stderr` of an evaluation).

/** All errors of this library are of this class. */
export class OcamlWorkerError extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An index or a worker's script cannot be loaded, or is not one. */
export class LoadError extends OcamlWorkerError {
  /** @param {string} url what could not be loaded
   *  @param {number} [status] what the server said instead, if it said something */
  constructor(message, url, { status, cause } = {}) {
    super(message, { cause });
    this.url = url;
    this.status = status;
  }
}

/** The worker refuses `init`; the message is its reason. */
export class InitError extends OcamlWorkerError {}

/** The worker failed at a request, for instance at a position that is not in the source. */
export class RequestError extends OcamlWorkerError {}

/** An environment could not be made, removed or listed. */
export class EnvironmentError extends OcamlWorkerError {
  /** @param {string} [env_id] which one */
  constructor(message, env_id) {
    super(message);
    this.env_id = env_id;
  }
}

/** No answer in time. The worker goes on: only `interrupt` and `terminate` stop it. */
export class TimeoutError extends OcamlWorkerError {
  /** @param {number} timeout milliseconds waited */
  constructor(message, timeout) {
    super(message);
    this.timeout = timeout;
  }
}

/** `interrupt` was called before the answer came. */
export class InterruptedError extends OcamlWorkerError {}

/** `terminate` was called: this client answers nothing any more. */
export class TerminatedError extends OcamlWorkerError {}

/** Something outside the toplevel's control threw in the worker, such as a callback of a timer. */
export class CrashError extends OcamlWorkerError {}
