//! Git repositories of tests, and a loopback server for them.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

/// A repository with a working tree. The same changes give the same commits at any time.
pub struct Repo {
    pub path: PathBuf,
}

impl Repo {
    pub fn new(path: PathBuf) -> Self {
        fs::create_dir_all(&path).unwrap();
        let repo = Self { path };
        repo.git("init -q");
        repo
    }

    /// Runs git with these arguments, separated by spaces; what it prints.
    #[track_caller]
    pub fn git(&self, arguments: &str) -> String {
        let mut command = Command::new("git");
        command
            .args(["-c", "user.name=t", "-c", "user.email=t@t.example", "-c", "init.defaultBranch=main"])
            .args(arguments.split_whitespace())
            .current_dir(&self.path)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_DATE", "2026-01-01T00:00:00Z")
            .env("GIT_COMMITTER_DATE", "2026-01-01T00:00:00Z");
        let output = command.output().expect("git is there");
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.path.display())
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Commits everything that is there, and makes it readable for a [`FileServer`]; the id.
    #[track_caller]
    pub fn commit(&self) -> String {
        self.git("add -A");
        self.git("commit -q --allow-empty -m x");
        self.git("update-server-info");
        self.git("rev-parse HEAD")
    }

    /// Writes a file and commits it.
    #[track_caller]
    pub fn commit_file(&self, name: &str, text: &str) -> String {
        self.write(name, text);
        self.commit()
    }

    /// Writes another history over the last commit, and forgets that commit.
    pub fn rewrite(&self) {
        self.git("commit -q --amend --allow-empty -m rewritten");
        self.git("reflog expire --expire=now --all");
        self.git("gc -q --prune=now");
        self.git("update-server-info");
    }
}

/// Serves files of a directory over HTTP, or one answer for everything; remembers what it was asked.
pub struct FileServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl FileServer {
    /// The files below `root`.
    pub fn of(root: &Path) -> Self {
        let root = root.to_owned();
        Self::start(move |path| match fs::read(root.join(path)) {
            Ok(bytes) => ("200 OK", bytes),
            Err(_) => ("404 Not Found", Vec::new()),
        })
    }

    /// This, whatever is asked for.
    pub fn always(status: &'static str, body: &'static str) -> Self {
        Self::start(move |_| (status, body.into()))
    }

    fn start(answer: impl Fn(&str) -> (&'static str, Vec<u8>) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<String>>>::default());
        let (seen, answer) = (Arc::clone(&asked), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                // A client that hangs up is no trouble of the server.
                std::thread::spawn(move || stream.and_then(|stream| serve(stream, &*answer, &seen)));
            }
        });
        Self { address, asked }
    }

    pub fn url(&self) -> String {
        format!("http://{}/r", self.address)
    }

    /// What was asked for since the last call, without the queries.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

fn serve(
    mut stream: TcpStream,
    answer: &dyn Fn(&str) -> (&'static str, Vec<u8>),
    seen: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let path = first.split(' ').nth(1).unwrap_or_default().split('?').next().unwrap_or_default();
    let path = path.trim_start_matches("/r/");
    seen.lock().unwrap().push(path.to_owned());
    let (status, body) = answer(path);
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n")?;
    stream.write_all(&body)
}
