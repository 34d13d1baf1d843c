//! `attriburn methods`, `metrics`, `completions` and `man`: output that depends on no model.

use clap_complete::Shell;
use serde::Serialize;

use crate::args::{ListArgs, command};
use crate::exit::{DONE, Fatal};
use crate::output::report::print_line;
use attriburn_evaluate::{METRICS, Method};

/// A method or metric as a JSON object.
#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    summary: &'a str,
}

/// Lists every method.
pub fn methods(args: &ListArgs) -> Result<u8, Fatal> {
    let methods = Method::all();
    let lines: Vec<_> = methods.iter().map(|method| (method.name(), method.summary())).collect();
    print_list(args, lines.iter().map(|(name, summary)| Line { name, summary }))
}

/// Lists every metric.
pub fn metrics(args: &ListArgs) -> Result<u8, Fatal> {
    print_list(
        args,
        METRICS.iter().map(|metric| Line { name: metric.name, summary: metric.summary }),
    )
}

fn print_list<'a>(args: &ListArgs, lines: impl Iterator<Item = Line<'a>>) -> Result<u8, Fatal> {
    let lines: Vec<Line> = lines.collect();
    let width = lines.iter().map(|line| line.name.len()).max().unwrap_or(0);
    for line in lines {
        match args.json {
            true => print_line!("{}", serde_json::to_string(&line)?),
            false => print_line!("{:width$}  {}", line.name, line.summary),
        }
    }
    Ok(DONE)
}

/// Prints the completion script of a shell.
pub fn completions(shell: Shell) -> Result<u8, Fatal> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "attriburn", &mut script);
    print_bytes(&script);
    Ok(DONE)
}

/// Prints the manual page, with a section for each command.
pub fn manual() -> Result<u8, Fatal> {
    let mut program = command();
    program.build();
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(program.clone());
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    man.render_subcommands_section(&mut page)?;
    for subcommand in program.get_subcommands().filter(|command| command.get_name() != "help") {
        let name = subcommand.get_name().to_uppercase();
        page.extend(format!(".SH \"{name}\"\n").bytes());
        let man = clap_mangen::Man::new(subcommand.clone());
        let mut section = Vec::new();
        man.render_synopsis_section(&mut section)?;
        man.render_description_section(&mut section)?;
        man.render_options_section(&mut section)?;
        // The sections of a command become subsections of the page.
        page.extend(String::from_utf8_lossy(&section).replace("\n.SH", "\n.SS").bytes());
    }
    man.render_version_section(&mut page)?;
    print_bytes(&page);
    Ok(DONE)
}

/// Prints bytes to stdout. A closed pipe is no error.
fn print_bytes(bytes: &[u8]) {
    use std::io::Write;
    let _ = std::io::stdout().write_all(bytes);
}
