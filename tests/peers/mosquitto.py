"""Debian's mosquitto on a machine of its own, and its clients, as devices of the house would use them."""

import json
import shutil
import signal
import subprocess

from net import until

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
THERE = MOSQUITTO and shutil.which("mosquitto_pub") and shutil.which("mosquitto_passwd")
USER, PASSWORD = "accord", "lab-mq-1"


class Mosquitto:
    def __init__(self, machine, address, folder, password=False, tls=False):
        self.machine, self.address, self.folder, self.tls = machine, address, folder, tls
        self.port = 8883 if tls else 1883
        self.user = ["-u", USER, "-P", PASSWORD] if password else []
        self.process, self.certificate, self.listening = None, None, []
        lines = [f"listener {self.port} {address}", f"allow_anonymous {'false' if password else 'true'}", "persistence false"]
        if password:
            file = folder / "passwd"
            subprocess.run(["mosquitto_passwd", "-b", "-c", str(file), USER, PASSWORD], check=True)
            file.chmod(0o644)
            lines.append(f"password_file {file}")
        if tls:
            self.keys("first")
            lines += [f"certfile {folder}/server.pem", f"keyfile {folder}/server.key"]
        self.config = folder / "mosquitto.conf"
        self.config.write_text("\n".join(lines) + "\n")
        folder.chmod(0o755)

    def keys(self, name):
        """A certificate authority of that name, and a certificate of it for this address."""
        def openssl(*words):
            subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, cwd=self.folder)
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 30, "-subj",
                f"/CN={name}", "-keyout", "ca.key", "-out", "ca.pem")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=broker", "-keyout",
                "server.key", "-out", "server.csr")
        (self.folder / "san").write_text(f"subjectAltName=IP:{self.address}\n")
        openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", 30,
                "-extfile", "san", "-out", "server.pem")
        (self.folder / "server.key").chmod(0o644)
        self.certificate = (self.folder / "ca.pem").read_text()

    def start(self):
        log = open(self.folder / "mosquitto.log", "ab")
        self.process = self.machine.popen(MOSQUITTO, "-c", self.config, stdout=log, stderr=log)
        log.close()
        until(self.answers, 10, "mosquitto listens")
        return self

    def answers(self):
        return self.machine.run("ss", "-Hltn", f"sport = :{self.port}").stdout.strip()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(10)

    def close(self):
        for one in self.listening:
            one.kill()
            one.wait()
            one.stdout.close()
        self.stop()

    def words(self, *more):
        trust = ["--cafile", self.folder / "ca.pem"] if self.tls else []
        return ["-h", self.address, "-p", self.port, *self.user, *trust, *more]

    def say(self, topic, payload, keep=False):
        """A device says something."""
        text = payload if isinstance(payload, str) else json.dumps(payload)
        self.machine.run("mosquitto_pub", *self.words("-t", topic, "-m", text), *(["-r"] if keep else []))

    def forget(self, topic):
        self.machine.run("mosquitto_pub", *self.words("-t", topic, "-n", "-r"))

    def listen(self, topic):
        """A device listens; what it hears comes as lines of `topic payload`."""
        process = self.machine.popen("mosquitto_sub", *self.words("-v", "-t", topic), stdout=subprocess.PIPE, text=True)
        self.listening.append(process)
        return process
