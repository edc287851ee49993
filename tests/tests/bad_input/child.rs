//! What a test lets another process do: this test binary once more, with a task in its environment.

use crate::support::{on_real, options};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const TASK: &str = "JDB_TEST_TASK";
const PATH: &str = "JDB_TEST_PATH";
/// Begins a line of the child's answer.
const SAYS: &str = "@child ";

/// Not a test of its own: the other process.
#[test]
#[ignore = "run by other tests, in a process of its own"]
fn process() {
    let Ok(task) = std::env::var(TASK) else { return };
    let path = std::env::var_os(PATH).unwrap();
    let path = Path::new(&path);
    match task.as_str() {
        "hold" => on_real(async {
            let db = jdb::open(options(path)).await.unwrap();
            say("held");
            std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
            db.close().await.unwrap();
        }),
        "open" => on_real(async {
            match jdb::open(options(path)).await {
                Ok(_) => say("opened"),
                Err(error) => say(&format!("{:?} {}", error.kind(), error.path().unwrap().display())),
            }
        }),
        "driver" => match jdb::runtime(&jdb::RuntimeConfig::default()) {
            Err(error) => say(&format!("{:?} {error}", error.kind())),
            Ok(runtime) => runtime.block_on(async {
                let db = jdb::open(options(path)).await.unwrap();
                db.ns(1u64).put("key", "value").await.unwrap();
                db.flush().await.unwrap();
                let value = db.ns(1u64).get("key").await.unwrap();
                say(&format!("{:?} {:?}", db.stats().driver, value.unwrap()));
                db.close().await.unwrap();
            }),
        },
        task => panic!("no such task: {task}"),
    }
}

fn say(answer: &str) {
    println!("\n{SAYS}{answer}");
}

/// The process that does `task` with the database in `path`, not started yet.
pub(crate) fn command(task: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["child::process", "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env(TASK, task).env(PATH, path).env_remove("JDB_DRIVER");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The first thing that the process says.
pub(crate) fn answer(child: &mut Child) -> String {
    for line in BufReader::new(child.stdout.as_mut().unwrap()).lines() {
        if let Some(answer) = line.unwrap().strip_prefix(SAYS) {
            return answer.to_owned();
        }
    }
    let mut said = String::new();
    child.stderr.as_mut().unwrap().read_to_string(&mut said).unwrap();
    panic!("the other process said nothing but {said}");
}

/// Lets it run to its end and gives its answer.
pub(crate) fn run(command: &mut Command) -> String {
    let mut child = command.spawn().unwrap();
    let answer = answer(&mut child);
    end(child);
    answer
}

/// Lets it end by itself.
pub(crate) fn end(mut child: Child) {
    drop(child.stdin.take());
    std::io::copy(&mut child.stdout.take().unwrap(), &mut std::io::sink()).unwrap();
    assert!(child.wait().unwrap().success());
}
