//! PromQL: parser, printer, engine
