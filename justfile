# The commands of daily work. `just` lists them; https://just.systems

# The recipes
default:
    @just --list

# Build the program for the CPU
build:
    cargo build --release

# Run the program, such as `just run explain photo.jpg`
run *ARGS:
    cargo run --release -- {{ARGS}}

# Test everything on the CPU
test *ARGS:
    cargo test --release --locked {{ARGS}}

# Test everything on GPUs as well, or on a software renderer
test-gpu *ARGS:
    cargo test --release --locked --features wgpu {{ARGS}}

# Format, then check lints and import cycles
lint:
    cargo fmt --all
    cargo clippy --release --locked --all-targets -- -D warnings
    python3 tools/imports.py

# Rewrite the snapshots of help texts and messages
snapshots:
    TRYCMD=overwrite cargo test --release --locked -p attriburn-cli --test commands

# Check licenses, sources and duplicate versions of dependencies; needs cargo-deny
deny:
    cargo deny check bans licenses sources

# Open the documentation of the crates
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --release --locked --no-deps --open

# Build the book to target/book; needs mdbook
book:
    mdbook build docs

# Time maps and noise on the CPU
bench *ARGS:
    cargo bench --locked -p attriburn-tests {{ARGS}}

# Everything that CI checks
ci:
    .ci/run
