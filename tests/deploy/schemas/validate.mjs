// Reads a JSON array of Kubernetes objects from stdin, and writes one line for each fault: "Kind/name: path: what is wrong".
// Exits 1 if there is any. The schemas allow unknown fields; so it also watches what the validator looks at: a field that it
// never reads is none of Kubernetes'.
import { readFileSync } from "node:fs";

const objects = JSON.parse(readFileSync(0, "utf8"));

async function modelOf({ apiVersion, kind }) {
  const module = apiVersion.startsWith("keda.sh/") ? `@kubernetes-models/keda/${apiVersion}` : `kubernetes-models/${apiVersion}`;
  return (await import(module))[kind];
}

const join = (path, key) => `${path}/${String(key)}`;

function watched(value, path, read) {
  if (typeof value !== "object" || value === null) return value;
  return new Proxy(value, {
    get(target, key) {
      read.add(join(path, key));
      return watched(target[key], join(path, key), read);
    },
    getPrototypeOf: (target) => Object.getPrototypeOf(target),
  });
}

function* unread(value, path, read) {
  for (const [key, inner] of Object.entries(value)) {
    if (!read.has(join(path, key))) yield join(path, key);
    else if (typeof inner === "object" && inner !== null) yield* unread(inner, join(path, key), read);
  }
}

async function faultsOf(object) {
  const model = await modelOf(object).catch(() => undefined);
  if (!model) return [`there is no ${object.kind} in ${object.apiVersion}`];
  const read = new Set();
  try {
    model.prototype.validate.call(watched(object, "", read));
  } catch (error) {
    return [error.message];
  }
  return [...unread(object, "", read)].map((path) => `${path}: no such field`);
}

let bad = false;
for (const object of objects) {
  for (const fault of await faultsOf(object)) {
    bad = true;
    console.log(`${object.kind}/${object.metadata?.name}: ${fault}`);
  }
}
process.exitCode = bad ? 1 : 0;
