//! A server behind a CA of its own: a relay that speaks TLS as OpenSSL does, before a server that does not.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use gridmon_testkit::sandbox::{Outcome, Sandbox};
use gridmon_testkit::{Ports, free_port, skip, wait_until};

/// A relay that speaks TLS, ended on drop.
pub struct Relay(Child);

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs openssl in the sandbox.
pub fn openssl(sandbox: &Sandbox, arguments: &str) {
    let mut command = Command::new("openssl");
    let output = command.args(arguments.split(' ')).current_dir(sandbox.path("")).output().unwrap();
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Makes `CA.pem`, and certificates of it for localhost (`server`) and a client (`client`), in the sandbox.
pub fn certificates(sandbox: &Sandbox) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(sandbox, &format!("req -x509 {key} -subj /CN=grid-CA -keyout ca.key -out ca.pem -days 9"));
    for name in ["server", "client"] {
        let alternative = "-addext subjectAltName=DNS:localhost";
        openssl(sandbox, &format!("req {key} -subj /CN={name} {alternative} -keyout {name}.key -out {name}.csr"));
        openssl(
            sandbox,
            &format!("x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -days 9 -copy_extensions copy -out {name}.pem"),
        );
    }
}

/// Starts the relay to an address; `asks` whether it wants a client certificate. HAProxy, since a relay of socat refuses
/// who comes back with the ticket of a connection at which it showed a certificate.
pub fn relay(sandbox: &Sandbox, to: &str, asks: bool) -> (u16, Relay, Ports) {
    let (port, ports) = free_port();
    let path = |name: &str| sandbox.path(name).display().to_string();
    let both = ["server.pem", "server.key"].map(|name| fs::read_to_string(sandbox.path(name)).unwrap()).concat();
    sandbox.write("both.pem", both);
    let asks = if asks { format!("ca-file {} verify required", path("ca.pem")) } else { String::new() };
    let config = format!(
        "defaults\n mode tcp\n timeout connect 10s\n timeout client 60s\n timeout server 60s\n\
         listen relay\n bind 127.0.0.1:{port} ssl crt {} {asks}\n server behind {to}\n",
        path("both.pem")
    );
    let config = sandbox.write(&format!("relay-{port}.cfg"), config);
    let mut haproxy = Command::new("/usr/sbin/haproxy");
    let haproxy = haproxy.args(["-db", "-f"]).arg(config).stdout(Stdio::null()).stderr(Stdio::null());
    let relay = Relay(haproxy.spawn().unwrap());
    wait_until("the relay to listen", Duration::from_secs(20), || {
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    });
    (port, relay, ports)
}

/// Starts OpenSSL's server, which gives the sandbox's files to who shows a certificate of the CA; a proxy's too, which no other server
/// here takes.
pub fn files_for_proxies(sandbox: &Sandbox) -> (u16, Relay, Ports) {
    let (port, ports) = free_port();
    let mut server = Command::new("openssl");
    server.args([
        "s_server",
        "-accept",
        &port.to_string(),
        "-cert",
        "server.pem",
        "-key",
        "server.key",
        "-WWW",
        "-quiet",
    ]);
    server.args(["-CAfile", "ca.pem", "-Verify", "9", "-verify_return_error", "-allow_proxy_certs"]);
    server.current_dir(sandbox.path("")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let relay = Relay(server.spawn().unwrap());
    wait_until("the server to listen", Duration::from_secs(20), || {
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    });
    (port, relay, ports)
}

/// Whether OpenSSL and HAProxy are here; says so if not.
pub fn tools(test: &str) -> bool {
    let missing = ["/usr/bin/openssl", "/usr/sbin/haproxy"].iter().find(|tool| !Path::new(tool).exists());
    missing.inspect(|tool| skip(test, tool)).is_none()
}

#[test]
fn a_machine_without_ca_certificates_is_told_what_to_install() {
    let sandbox = Sandbox::new("small");
    sandbox.config("[influxdb]\nurl = https://127.0.0.1:1\ndatabase = d\n");
    let mut check = sandbox.command(&["--check"]);
    check.env("SSL_CERT_FILE", "/nonexistent").env("SSL_CERT_DIR", "/nonexistent");
    let told = Outcome::of(&mut check);
    assert!(told.stdout.contains("can trust no server: install ca-certificates"), "{told:?}");
}
