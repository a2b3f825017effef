# frozen_string_literal: true

require "English"

# Jekyll plugin: shrinks the pictures of a site that was just written. Put this file into _plugins.
#
# In _config.yml, all of it optional:
#   semcompress:
#     command: .venv/bin/semcompress     # default: the one on the PATH
#     args: [--policy, pictures.yaml]    # further options of `semcompress build`
#     serve: true                        # also in `jekyll serve` and `--watch`
Jekyll::Hooks.register :site, :post_write do |site|
  wrong = ->(what) { raise Jekyll::Errors::InvalidConfigurationError, "semcompress: #{what}" }
  options = site.config["semcompress"]
  options = {} if options.nil?
  wrong.call("expected options such as {serve: true}, got #{options.inspect}") unless options.is_a?(Hash)
  unknown = options.keys - %w[command args serve]
  wrong.call("unknown option #{unknown.join(", ")}; known: args, command, serve") unless unknown.empty?
  command = options.fetch("command", "semcompress")
  wrong.call("command: expected a program, got #{command.inspect}") unless command.is_a?(String)
  args = options.fetch("args", [])
  wrong.call("args: expected a list such as [--quiet], got #{args.inspect}") unless args.is_a?(Array)
  next if (site.config["serving"] || site.config["watch"]) && !options["serve"]

  # several arguments: no shell reads them
  done = system(command, "build", "--in-place", site.dest, *args.map(&:to_s))
  if done.nil?
    raise Jekyll::Errors::FatalException,
          "semcompress: #{command} was not found; install it, or say where it is: semcompress: {command: PATH}"
  elsif !done && $CHILD_STATUS.exitstatus == 1
    Jekyll.logger.warn "semcompress:", "some pictures failed, see above; they were left as they are"
  elsif !done
    raise Jekyll::Errors::FatalException, "semcompress: ended with #{$CHILD_STATUS.exitstatus}, see above"
  end
end
