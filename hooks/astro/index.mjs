// Astro integration: shrinks the pictures of a finished build with `semcompress build --in-place`.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

/**
 * @param {object} [options]
 * @param {string} [options.command="semcompress"] the program, if it is not on the PATH
 * @param {string[]} [options.args=[]] further options of `semcompress build`, such as ["--policy", "pictures.yaml"]
 */
export default function semcompress({ command = "semcompress", args = [], ...rest } = {}) {
  const unknown = Object.keys(rest);
  if (unknown.length > 0) {
    throw new Error(`semcompress: unknown option ${unknown.join(", ")}; known: args, command`);
  }
  return {
    name: "semcompress",
    hooks: {
      "astro:build:done": async ({ dir, logger }) => {
        const code = await run(command, ["build", "--in-place", fileURLToPath(dir), ...args]);
        if (code === 1) {
          logger.warn("some pictures failed, see above; they were left as they are");
        } else if (code !== 0) {
          throw new Error(`semcompress: ended with ${code}, see above`);
        }
      },
    },
  };
}

/** The exit code of a program that is started without a shell, or what ended it. */
function run(command, parameters) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, parameters, { stdio: ["ignore", "inherit", "inherit"] });
    child.on("close", (code, signal) => resolve(code ?? signal));
    child.on("error", (error) => {
      const missing = `semcompress: ${command} was not found; install it, or say where it is: { command: "PATH" }`;
      reject(error.code === "ENOENT" ? new Error(missing) : error);
    });
  });
}
