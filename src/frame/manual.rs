//! The manual pages and completions of a program, made of the flags that it parses and of its page in docs/: `PROGRAM --manual
//! FOLDER [PAGE]`, in builds for packages alone (feature `manuals`).

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::Command;
use clap_complete::Shell;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

/// Writes the pages and completions of a program if the process was started for it; returns whether it was.
///
/// # Errors
/// Fails if the folder cannot be written, or if the page cannot be read.
pub fn write_if_asked(command: Command) -> Result<bool> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next() != Some(OsString::from("--manual")) {
        return Ok(false);
    }
    let folder = arguments.next().context("--manual needs a folder")?;
    let page =
        arguments.next().map(|path| fs::read_to_string(&path).with_context(|| path.to_string_lossy().into_owned()));
    write(command, Path::new(&folder), page.transpose()?.as_deref())?;
    Ok(true)
}

/// Writes `man1/NAME.1`, one for each subcommand too, and the completions for bash, zsh and fish.
fn write(command: Command, folder: &Path, page: Option<&str>) -> Result<()> {
    let name = command.get_name().to_string();
    let man = folder.join("man1");
    fs::create_dir_all(&man)?;
    clap_mangen::generate_to(command.clone(), &man)?;
    if let Some(page) = page {
        let path = man.join(format!("{name}.1"));
        let mut file = File::options().append(true).open(path)?;
        file.write_all(roff(page)?.as_bytes())?;
    }
    let mut command = command;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let folder = folder.join(shell.to_string());
        fs::create_dir_all(&folder)?;
        clap_complete::generate_to(shell, &mut command, &name, &folder)?;
    }
    Ok(())
}

/// A Markdown page on its way to roff.
#[derive(Default)]
struct Page {
    roff: Roff,
    /// The text of the paragraph, cell or heading under way.
    line: Vec<Inline>,
    /// What the text under way is emphasised by.
    emphasis: Emphasis,
    /// The heads of the table under way.
    heads: Vec<String>,
    /// The cells of the row under way.
    cells: Vec<Vec<Inline>>,
    /// The depth of lists; 0 outside of one.
    depth: usize,
    /// The numbers of ordered lists, from the outermost.
    numbers: Vec<Option<u64>>,
    is_code: bool,
    /// Whether a section was begun; what stands before the first is the overview.
    has_section: bool,
    link: String,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Emphasis {
    #[default]
    None,
    Bold,
    Italic,
}

/// Returns a page of docs/ as the sections of a manual page, without its title, pictures and comments.
fn roff(markdown: &str) -> Result<String> {
    let mut page = Page::default();
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        page.take(event);
    }
    let mut text = Vec::new();
    page.roff.to_writer(&mut text)?;
    let text = String::from_utf8(text)?;
    ensure!(!text.trim().is_empty(), "the page is empty");
    Ok(text)
}

impl Page {
    fn take(&mut self, event: Event) {
        match event {
            Event::Start(tag) => self.begin(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) if self.is_code => self.code(&text),
            Event::Text(text) => self.line.push(match self.emphasis {
                Emphasis::None => roman(text.into_string()),
                Emphasis::Bold => bold(text.into_string()),
                Emphasis::Italic => italic(text.into_string()),
            }),
            Event::Code(text) => self.line.push(bold(text.into_string())),
            Event::SoftBreak | Event::HardBreak => self.line.push(roman(" ")),
            _ => {}
        }
    }

    fn begin(&mut self, tag: Tag) {
        match tag {
            Tag::Strong => self.emphasis = Emphasis::Bold,
            Tag::Emphasis => self.emphasis = Emphasis::Italic,
            Tag::Link { dest_url, .. } => self.link = dest_url.into_string(),
            Tag::CodeBlock(_) => {
                self.flush();
                self.roff.control("RS", ["4"]).control("nf", []);
                self.is_code = true;
            }
            Tag::List(first) => {
                self.flush();
                self.numbers.push(first);
                self.depth += 1;
                if self.depth > 1 {
                    self.roff.control("RS", ["4"]);
                }
            }
            Tag::Item => {
                let mark = match self.numbers.last_mut() {
                    Some(Some(number)) => {
                        *number += 1;
                        format!("{}.", *number - 1)
                    }
                    _ => "-".into(),
                };
                self.roff.control("IP", [mark.as_str(), "4"]);
            }
            Tag::Paragraph if self.depth == 0 => {
                if !self.has_section {
                    self.roff.control("SH", ["OVERVIEW"]);
                    self.has_section = true;
                }
                self.roff.control("PP", []);
            }
            Tag::Table(_) => self.heads.clear(),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Strong | TagEnd::Emphasis => self.emphasis = Emphasis::None,
            TagEnd::Link => {
                let link = std::mem::take(&mut self.link);
                // Nothing can be clicked here: the name of the page tells where to look.
                let page = link.split('#').next().filter(|page| page.ends_with(".md"));
                if link.starts_with("http") {
                    self.line.push(roman(format!(" <{link}>")));
                } else if let Some(page) = page {
                    let page = page.strip_prefix("../").map_or_else(|| format!("docs/{page}"), String::from);
                    self.line.push(roman(format!(" ({page})")));
                }
            }
            TagEnd::Heading(level) => self.heading(level),
            TagEnd::CodeBlock => {
                self.is_code = false;
                self.roff.control("fi", []).control("RE", []);
            }
            TagEnd::List(_) => {
                self.flush();
                self.numbers.pop();
                if self.depth > 1 {
                    self.roff.control("RE", []);
                }
                self.depth -= 1;
            }
            TagEnd::Paragraph | TagEnd::Item => self.flush(),
            TagEnd::TableCell => self.cells.push(std::mem::take(&mut self.line)),
            TagEnd::TableHead => self.heads = std::mem::take(&mut self.cells).iter().map(|cell| plain(cell)).collect(),
            TagEnd::TableRow => self.row(),
            _ => {}
        }
    }

    fn flush(&mut self) {
        if !self.line.is_empty() {
            self.roff.text(std::mem::take(&mut self.line));
        }
    }

    fn heading(&mut self, level: HeadingLevel) {
        let text = plain(&std::mem::take(&mut self.line));
        match level {
            // The name of the program stands above already.
            HeadingLevel::H1 => {}
            HeadingLevel::H2 => {
                self.has_section = true;
                self.roff.control("SH", [text.to_uppercase().as_str()]);
            }
            _ => {
                self.roff.control("SS", [text.as_str()]);
            }
        }
    }

    fn code(&mut self, text: &str) {
        for line in text.lines() {
            self.roff.text([roman(line)]);
        }
    }

    /// Writes a row of a table as a paragraph: the first cell, below it the others, each with its head if there are several.
    fn row(&mut self) {
        let mut cells = std::mem::take(&mut self.cells).into_iter();
        self.roff.control("TP", ["4"]);
        self.roff.text(cells.next().filter(|cell| !cell.is_empty()).unwrap_or_else(|| vec![roman("-")]));
        let others: Vec<_> = cells.zip(self.heads.iter().skip(1)).filter(|(cell, _)| !cell.is_empty()).collect();
        let is_alone = others.len() == 1;
        for (at, (cell, head)) in others.into_iter().enumerate() {
            if at > 0 {
                self.roff.control("br", []);
            }
            let mut line = if is_alone || head.is_empty() { Vec::new() } else { vec![italic(format!("{head}: "))] };
            line.extend(cell);
            self.roff.text(line);
        }
    }
}

fn plain(line: &[Inline]) -> String {
    line.iter()
        .map(|part| match part {
            Inline::Roman(text) | Inline::Italic(text) | Inline::Bold(text) => text.as_str(),
            _ => " ",
        })
        .collect()
}
