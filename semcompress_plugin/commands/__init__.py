"""One module per command, each with ``run(arguments) -> exit code``; imported when the command is given."""
