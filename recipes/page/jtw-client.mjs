// The client library has moved to client/; its old address goes on working.
export * from "./client/jtw-client.mjs";
