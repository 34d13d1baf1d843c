//! Writes the device kernels as assembly for NVIDIA's GPUs: `ptx FOLDER ARCHITECTURE`, such as
//! `ptx target/ptx 80`.

fn main() -> std::io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, architecture] = &args[..] else {
        eprintln!("usage: ptx FOLDER ARCHITECTURE");
        std::process::exit(2);
    };
    let architecture = architecture.parse().expect("a compute capability such as 80");
    std::fs::create_dir_all(folder)?;
    for (name, ptx) in attriburn_kernels::ptx::kernels(architecture) {
        std::fs::write(format!("{folder}/{name}.ptx"), ptx)?;
    }
    Ok(())
}
