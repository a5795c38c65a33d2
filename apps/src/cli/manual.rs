//! The command line for a shell and for man(1): completions and manual pages, made from the definition that parses.

use super::Cli;
use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

/// Print a script that lets a shell complete commands and options
///
/// For bash: synfin completions bash >/etc/bash_completion.d/synfin
#[derive(Args, Debug, Clone)]
pub struct CompletionsArgs {
    /// Whose script
    pub shell: Shell,
}

/// Print a manual page for man(1)
///
/// For example: synfin man >/usr/local/share/man/man1/synfin.1; synfin man load >/usr/local/share/man/man1/synfin-load.1
#[derive(Args, Debug, Clone)]
pub struct ManArgs {
    /// The command that the page is about [default: synfin as a whole]
    #[arg(value_parser = ["serve", "load", "impair", "doctor"])]
    pub command: Option<String>,
}

impl CompletionsArgs {
    pub fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "synfin", &mut text);
        text
    }
}

impl ManArgs {
    /// # Errors
    /// None that memory would give.
    pub fn text(&self) -> std::io::Result<Vec<u8>> {
        let whole = definition();
        let part = self.command.as_ref().and_then(|name| whole.find_subcommand(name).cloned());
        page(part.unwrap_or(whole))
    }
}

/// What pages are made from: `synfin help` has none, since each is that.
fn definition() -> Command {
    let mut whole = Cli::command().disable_help_subcommand(true);
    // Commands get their full names by this: synfin-load.
    whole.build();
    whole
}

/// What follows the options in the help text is laid out by us: examples are to stay as they are.
fn page(command: Command) -> std::io::Result<Vec<u8>> {
    let rest = command.get_after_help().map_or_else(Roff::new, |help| sections(&help.to_string()));
    let (mut text, bare) = (Vec::new(), command.after_help(clap::builder::StyledStr::new()));
    Man::new(bare).render(&mut text)?;
    text.extend(rest.to_roff().into_bytes());
    Ok(text)
}

/// Spaces that a command in a help text is indented by.
const COMMAND: &str = "      ";

/// The end of a help text: a line that ends with a colon begins a section, commands stay line by line, and everything else is
/// filled.
fn sections(help: &str) -> Roff {
    let mut roff = Roff::new();
    let (mut is_command, mut is_section) = (false, false);
    for line in help.lines() {
        if line.starts_with(COMMAND) != is_command {
            is_command = !is_command;
            if is_command {
                roff.control("RS", ["4"]).control("nf", [])
            } else {
                roff.control("fi", []).control("RE", [])
            };
        }
        if is_command {
            roff.text([roman(line.trim_start())]);
        } else if let Some(title) = line.strip_suffix(':').filter(|_| !line.starts_with(' ')) {
            is_section = true;
            roff.control("SH", [&*title.to_uppercase()]);
        } else if !line.is_empty() {
            // What stands at the margin again is no part of the section.
            if is_section && !line.starts_with(' ') {
                is_section = false;
                roff.control("SH", ["NOTES"]);
            }
            roff.control("PP", []).text([roman(line.trim())]);
        }
    }
    if is_command {
        roff.control("fi", []).control("RE", []);
    }
    roff
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Parser, ValueEnum};

    fn visible() -> Vec<Command> {
        let mut whole = Cli::command();
        whole.build();
        whole.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help").cloned().collect()
    }

    fn man(words: &str) -> String {
        let Ok(Cli { command: super::super::Command::Man(args) }) = Cli::try_parse_from(words.split_whitespace())
        else {
            panic!("{words} is no question for a page");
        };
        String::from_utf8(args.text().expect("memory")).expect("UTF-8").replace('\\', "")
    }

    #[test]
    fn each_command_has_a_page_with_all_of_its_options() {
        assert_eq!(visible().len(), 4);
        let whole = man("synfin man");
        for command in visible() {
            let name = command.get_name();
            assert!(whole.contains(&format!("synfin-{name}(1)")), "{name}: {whole}");
            let text = man(&format!("synfin man {name}"));
            assert!(text.contains(&format!(".TH synfin-{name} 1")), "{name}: {text}");
            for option in command.get_opts().filter(|option| !option.is_hide_set()).filter_map(|o| o.get_long()) {
                assert!(text.contains(&format!("--{option}")), "{name} --{option}");
            }
        }
    }

    #[test]
    fn examples_stay_line_by_line_and_what_explains_them_is_filled() {
        for command in visible() {
            let text = man(&format!("synfin man {}", command.get_name()));
            let help = command.get_after_help().expect("examples").to_string();
            let (_, examples) = text.split_once("\n.SH EXAMPLES\n").unwrap_or_else(|| panic!("no examples in {text}"));
            let mut is_filled = true;
            let (mut literal, mut filled) = (Vec::new(), Vec::new());
            for line in examples.lines() {
                match line {
                    ".nf" | ".fi" => is_filled = line == ".fi",
                    _ if line.starts_with('.') => {}
                    _ => if is_filled { &mut filled } else { &mut literal }.push(line.replace("*(Aq", "'")),
                }
            }
            // The backslashes are left out by `man`.
            let shown = |line: &str| line.trim().replace('\\', "");
            let commands: Vec<String> = help.lines().filter(|l| l.starts_with(COMMAND)).map(shown).collect();
            assert!(is_filled && commands.len() > 1 && literal == commands, "{literal:#?} {commands:#?}");
            assert!(filled.iter().any(|line| line.ends_with(':')), "{filled:?}");
        }
    }

    #[test]
    fn there_is_a_page_for_each_command_that_is_named() {
        let whole = man("synfin man");
        assert!(!whole.contains("help(1)"), "{whole}");
        let named = whole.matches("(1)").count();
        assert_eq!(named, visible().len(), "{whole}");
    }

    #[test]
    fn every_shell_learns_commands_and_options() {
        for &shell in Shell::value_variants() {
            let text = String::from_utf8(CompletionsArgs { shell }.text()).expect("UTF-8");
            for word in ["synfin", "serve", "load", "impair", "doctor", "hold-requests"] {
                assert!(text.contains(word), "{shell}: {word}");
            }
        }
    }
}
