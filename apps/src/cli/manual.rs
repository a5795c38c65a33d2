//! The command line for a shell and for man(1): completions and manual pages, made from the definition that parses.

use super::Cli;
use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;

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
        let mut whole = Cli::command();
        // Commands get their full names by this: synfin-load.
        whole.build();
        let part = self.command.as_ref().and_then(|name| whole.find_subcommand(name).cloned());
        page(part.unwrap_or(whole))
    }
}

fn page(command: Command) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command).render(&mut text)?;
    Ok(text)
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
    fn every_shell_learns_commands_and_options() {
        for &shell in Shell::value_variants() {
            let text = String::from_utf8(CompletionsArgs { shell }.text()).expect("UTF-8");
            for word in ["synfin", "serve", "load", "impair", "doctor", "hold-requests"] {
                assert!(text.contains(word), "{shell}: {word}");
            }
        }
    }
}
