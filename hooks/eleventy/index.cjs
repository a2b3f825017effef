// Eleventy plugin: shrinks the pictures in the output folder with `semcompress build --in-place`.
const { spawn } = require("node:child_process");

/**
 * @param {object} eleventyConfig Eleventy's configuration (2 or 3)
 * @param {object} [options]
 * @param {string} [options.command="semcompress"] the program, if it is not on the PATH
 * @param {string[]} [options.args=[]] further options of `semcompress build`, such as ["--policy", "pictures.yaml"]
 * @param {boolean} [options.serve=false] whether --serve and --watch shrink, too
 */
module.exports = function semcompress(eleventyConfig, { command = "semcompress", args = [], serve = false, ...rest } = {}) {
  const unknown = Object.keys(rest);
  if (unknown.length > 0) {
    throw new Error(`semcompress: unknown option ${unknown.join(", ")}; known: args, command, serve`);
  }
  eleventyConfig.on("eleventy.after", async ({ dir, runMode, outputMode }) => {
    if (outputMode !== "fs" || (runMode !== "build" && !serve)) {
      return;
    }
    const code = await run(command, ["build", "--in-place", dir.output, ...args]);
    if (code === 1) {
      console.warn("[semcompress] some pictures failed, see above; they were left as they are");
    } else if (code !== 0) {
      throw new Error(`semcompress: ended with ${code}, see above`);
    }
  });
};

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
