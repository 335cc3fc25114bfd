// Types of node.mjs: the same, with a worker that runs in a thread of Node.
export * from "./jtw-client.mjs";
