//! What a child process tells its parent over a pipe: commits, answers, what became durable.
//!
//! A frame is written with one call before what it tells of goes on, so that a parent that reads to the end of the pipe
//! after it killed the child knows all that the child knew; a cut last frame is left out.

use crate::oracle::{Marks, Ns, Op};
use crate::world::Listener;
use bytes::Bytes;
use std::io::{self, Read, Write};

/// One message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// The database is open and was read; the clients start.
    Open,
    /// A commit got its sequences.
    Submitted {
        /// Shard.
        shard: u16,
        /// Sequence of the first change.
        first_seq: u64,
        /// The changes.
        ops: Vec<Op>,
    },
    /// A commit was answered.
    Acknowledged {
        /// Namespace.
        ns: Ns,
        /// Sequence of the last change.
        seq: u64,
        /// Whether it asked for `Sync`.
        sync: bool,
    },
    /// A commit was promised to survive a power cut.
    Durable {
        /// Namespace.
        ns: Ns,
        /// Sequence of the last change.
        seq: u64,
    },
    /// Everything up to these marks was promised to survive a power cut.
    MadeDurable(Marks),
}

impl Message {
    /// Appends the frame: length, then tag and fields.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        match self {
            Self::Open => out.push(0),
            Self::Submitted { shard, first_seq, ops } => {
                out.push(1);
                put(out, u64::from(*shard));
                put(out, *first_seq);
                for op in ops {
                    let (kind, key, value): (u8, &[u8], &[u8]) = match op {
                        Op::Put { key, value, .. } => (1, key, value),
                        Op::Delete { key, .. } => (2, key, &[]),
                        Op::Drop { .. } => (3, &[], &[]),
                    };
                    out.extend_from_slice(&[kind, op.ns()]);
                    put(out, key.len() as u64);
                    out.extend_from_slice(key);
                    put(out, value.len() as u64);
                    out.extend_from_slice(value);
                }
            }
            Self::Acknowledged { ns, seq, sync } => {
                out.extend_from_slice(&[2, *ns, u8::from(*sync)]);
                put(out, *seq);
            }
            Self::Durable { ns, seq } => {
                out.extend_from_slice(&[3, *ns]);
                put(out, *seq);
            }
            Self::MadeDurable(marks) => {
                out.push(4);
                marks.0.iter().for_each(|mark| put(out, *mark as u64));
            }
        }
        let len = (out.len() - start - 4) as u32;
        out[start..start + 4].copy_from_slice(&len.to_le_bytes());
    }

    /// Takes the next message from the front of `bytes`; `None` when it is not whole yet.
    ///
    /// # Panics
    /// On a frame that [`Message::encode`] did not write.
    pub fn take(bytes: &mut &[u8]) -> Option<Self> {
        let (len, rest) = bytes.split_first_chunk()?;
        let (mut frame, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        *bytes = rest;
        Some(Self::decode(&mut frame))
    }

    fn decode(frame: &mut &[u8]) -> Self {
        match byte(frame) {
            0 => Self::Open,
            1 => {
                let (shard, first_seq) = (number(frame) as u16, number(frame));
                let mut ops = Vec::new();
                while !frame.is_empty() {
                    let (kind, ns) = (byte(frame), byte(frame));
                    let (key, value) = (text(frame), text(frame));
                    ops.push(match kind {
                        1 => Op::Put { ns, key, value },
                        2 => Op::Delete { ns, key },
                        _ => Op::Drop { ns },
                    });
                }
                Self::Submitted { shard, first_seq, ops }
            }
            2 => {
                let (ns, sync) = (byte(frame), byte(frame) != 0);
                Self::Acknowledged { ns, sync, seq: number(frame) }
            }
            3 => Self::Durable { ns: byte(frame), seq: number(frame) },
            4 => {
                let mut marks = Vec::new();
                while !frame.is_empty() {
                    marks.push(number(frame) as usize);
                }
                Self::MadeDurable(Marks(marks))
            }
            tag => panic!("unknown message {tag}"),
        }
    }
}

fn put(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn byte(frame: &mut &[u8]) -> u8 {
    let (first, rest) = frame.split_first().unwrap();
    *frame = rest;
    *first
}

fn number(frame: &mut &[u8]) -> u64 {
    let (head, rest) = frame.split_first_chunk().unwrap();
    *frame = rest;
    u64::from_le_bytes(*head)
}

fn text(frame: &mut &[u8]) -> Bytes {
    let len = number(frame) as usize;
    let (head, rest) = frame.split_at(len);
    *frame = rest;
    Bytes::copy_from_slice(head)
}

/// Passes on all that a world hears.
#[derive(Debug)]
pub struct Teller<W> {
    out: W,
    buffer: Vec<u8>,
}

impl<W: Write> Teller<W> {
    /// Writes to `out`.
    pub const fn new(out: W) -> Self {
        Self { out, buffer: Vec::new() }
    }

    /// Sends one message. A parent that is gone ends this process: nobody would hear what it does.
    pub fn tell(&mut self, message: &Message) {
        self.buffer.clear();
        message.encode(&mut self.buffer);
        if self.out.write_all(&self.buffer).and_then(|()| self.out.flush()).is_err() {
            std::process::exit(4);
        }
    }
}

impl<W: Write + std::fmt::Debug> Listener for Teller<W> {
    fn hear(&mut self, message: &Message) {
        self.tell(message);
    }
}

/// Reads messages until the pipe ends.
#[derive(Debug)]
pub struct Hearer<R> {
    from: R,
    buffer: Vec<u8>,
    used: usize,
}

impl<R: Read> Hearer<R> {
    /// Reads from `from`.
    pub const fn new(from: R) -> Self {
        Self { from, buffer: Vec::new(), used: 0 }
    }

    /// The next message; `None` at the end of the pipe, a cut message left out.
    ///
    /// # Errors
    /// The pipe's.
    pub fn hear(&mut self) -> io::Result<Option<Message>> {
        loop {
            let mut bytes = &self.buffer[self.used..];
            if let Some(message) = Message::take(&mut bytes) {
                self.used = self.buffer.len() - bytes.len();
                return Ok(Some(message));
            }
            if self.read(64 * 1024)? == 0 {
                return Ok(None);
            }
        }
    }

    /// The whole messages among the next `len` bytes, which are in the pipe.
    ///
    /// # Errors
    /// The pipe's.
    pub fn hear_within(&mut self, mut len: usize) -> io::Result<Vec<Message>> {
        while len > 0 {
            match self.read(len)? {
                0 => break,
                read => len -= read,
            }
        }
        let mut bytes = &self.buffer[self.used..];
        let messages = std::iter::from_fn(|| Message::take(&mut bytes)).collect();
        self.used = self.buffer.len() - bytes.len();
        Ok(messages)
    }

    /// Where it reads from.
    pub const fn source(&self) -> &R {
        &self.from
    }

    /// Takes in at most `len` more bytes.
    fn read(&mut self, len: usize) -> io::Result<usize> {
        self.buffer.drain(..self.used);
        self.used = 0;
        let filled = self.buffer.len();
        self.buffer.resize(filled + len, 0);
        let read = self.from.read(&mut self.buffer[filled..]);
        self.buffer.truncate(filled + read.as_ref().map_or(0, |read| *read));
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_and_a_cut_one_is_left_out() {
        let key = || Bytes::from_static(b"k");
        let messages = [
            Message::Open,
            Message::Submitted {
                shard: 1,
                first_seq: 7,
                ops: vec![
                    Op::Put { ns: 2, key: key(), value: Bytes::from_static(b"value") },
                    Op::Delete { ns: 2, key: Bytes::new() },
                    Op::Drop { ns: 3 },
                ],
            },
            Message::Acknowledged { ns: 2, seq: 9, sync: true },
            Message::Durable { ns: 2, seq: 9 },
            Message::MadeDurable(Marks(vec![1, 0])),
        ];
        let mut bytes = Vec::new();
        messages.iter().for_each(|message| message.encode(&mut bytes));
        bytes.pop();
        let mut hearer = Hearer::new(&bytes[..]);
        let mut heard = Vec::new();
        while let Some(message) = hearer.hear().unwrap() {
            heard.push(message);
        }
        assert_eq!(heard, messages[..4]);
    }
}
