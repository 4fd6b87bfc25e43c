//! Text → desired, or diagnostics with places. The only place that knows YAML.
