//! The operator domains besides the default ONNX domain.

/// The domain of ONNX Runtime's contributed operators.
pub const MICROSOFT: &str = "com.microsoft";

/// The domain of internal operators: passes create their nodes, and no model file contains them.
pub const OWN: &str = "attriburn";
