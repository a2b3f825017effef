"""Programs that plug semcompress in. Importing this package imports none of them and registers nothing."""
