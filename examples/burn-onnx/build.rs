//! Generates Rust code and weights from the ONNX file.

fn main() {
    burn_onnx::ModelGen::new()
        .input("model/lenet.onnx")
        .out_dir("model/")
        .load_strategy(burn_onnx::LoadStrategy::Embedded)
        .run_from_script();
}
