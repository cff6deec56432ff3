use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use seawall_core::limit::lua::{Call, SCRIPT, SCRIPT_SHA1};

/// One connection, with the script loaded.
pub(crate) struct Client {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
    script: String,
}

impl Client {
    pub(crate) fn connect(socket: &Path) -> Result<Self> {
        let writer = UnixStream::connect(socket).with_context(|| format!("cannot connect to {}", socket.display()))?;
        let mut client = Self { reader: BufReader::new(writer.try_clone()?), writer, script: String::new() };
        client.script = client.command(&["SCRIPT", "LOAD", SCRIPT])?.concat();
        ensure!(client.script == SCRIPT_SHA1, "the script has changed: its SCRIPT_SHA1 is {}", client.script);
        Ok(client)
    }

    /// Sends one command and reads its answer: the elements of a list, or one element.
    pub(crate) fn command(&mut self, words: &[&str]) -> Result<Vec<String>> {
        self.writer.write_all(&encode(words))?;
        self.answer()
    }

    /// Runs the script once.
    pub(crate) fn run(&mut self, call: &Call) -> Result<Vec<String>> {
        Ok(self.run_all(std::slice::from_ref(call))?.remove(0))
    }

    /// Runs the script for each of `calls`, all sent before the first answer is read.
    pub(crate) fn run_all(&mut self, calls: &[Call]) -> Result<Vec<Vec<String>>> {
        let mut bytes = Vec::new();
        for Call { keys, args } in calls {
            let count = keys.len().to_string();
            let mut words = vec!["EVALSHA", &*self.script, &*count];
            words.extend(keys.iter().chain(args).map(String::as_str));
            bytes.extend(encode(&words));
        }
        self.writer.write_all(&bytes)?;
        calls.iter().map(|_| self.answer()).collect()
    }

    fn answer(&mut self) -> Result<Vec<String>> {
        let line = self.line()?;
        let (kind, rest) = line.split_at(1);
        match kind {
            "*" => {
                let count: usize = rest.parse()?;
                let lists = (0..count).map(|_| self.answer()).collect::<Result<Vec<_>>>()?;
                Ok(lists.concat())
            }
            "$" => {
                let mut bytes = vec![0; rest.parse::<usize>()? + 2];
                self.reader.read_exact(&mut bytes)?;
                bytes.truncate(bytes.len() - 2);
                Ok(vec![String::from_utf8(bytes)?])
            }
            ":" | "+" => Ok(vec![rest.to_owned()]),
            _ => bail!("Redis says {line}"),
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        line.truncate(line.trim_end().len());
        if line.is_empty() { bail!("Redis closed the connection") } else { Ok(line) }
    }
}

/// A command in Redis's protocol: an array of byte strings.
fn encode(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
    }
    bytes
}
