#!/usr/bin/python3
"""contents.py TARGET SBOM LICENCES [FEATURES…]: writes what the programs are built of, with cargo's flags FEATURES: as CycloneDX, for
machines, and the texts of all licences, for people. Both come from Cargo.lock and from the sources of the crates, as cargo has them."""

import glob
import hashlib
import json
import os
import re
import subprocess
import sys

target, sbom, licences, *features = sys.argv[1:]
metadata = json.loads(
    subprocess.run(
        ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target, *features],
        check=True, stdout=subprocess.PIPE,
    ).stdout
)
packages = {package["id"]: package for package in metadata["packages"]}
nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
root = metadata["resolve"]["root"]


def needed(node):
    """The crates that are linked in or run while it is built: all but those of the tests."""
    for dependency in node["deps"]:
        if any(kind["kind"] != "dev" for kind in dependency["dep_kinds"]):
            yield dependency["pkg"]


# What a crate's tests need is not in a program.
reached, waiting = {root}, [root]
while waiting:
    for dependency in needed(nodes[waiting.pop()]):
        if dependency not in reached:
            reached.add(dependency)
            waiting.append(dependency)


def order(package):
    return package["name"], package["version"]


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def checksums():
    """The digest of each crate's file, by Cargo.lock."""
    text = open("Cargo.lock", encoding="utf-8").read()
    entry = re.compile(r'name = "(.+)"\nversion = "(.+)"\nsource = ".+"\nchecksum = "(.+)"')
    return {(name, version): digest for name, version, digest in entry.findall(text)}


digests = checksums()
crates = sorted((packages[key] for key in reached if key != root), key=order)
version = os.environ["DIST_VERSION"]
own = {"type": "application", "bom-ref": f"pkg:cargo/gridmon@{version}", "name": "gridmon", "version": version,
       "licenses": [{"expression": packages[root]["license"]}], "purl": f"pkg:cargo/gridmon@{version}"}


def folder_of(package):
    return os.path.dirname(package["manifest_path"])


def sqlite(package):
    """The version of the SQLite that a crate has in it."""
    with open(os.path.join(folder_of(package), "sqlite3/sqlite3.h"), encoding="utf-8") as header:
        return re.search(r'^#define SQLITE_VERSION +"(.+)"', header.read(), re.MULTILINE)[1]


def beside():
    """What is linked in and is no crate: Rust's own library, the C sources that crates have in them, whose faults are told by their own
    names, and, for a program without a C library of the machine, musl. Each with its version, licence and the files of that."""
    version = subprocess.run(["rustc", "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()[1]
    sysroot = subprocess.run(["rustc", "--print", "sysroot"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    texts = os.path.join(sysroot, "share/doc/rust/licenses")
    parts = [("rust-std", version, "MIT OR Apache-2.0", [os.path.join(texts, name) for name in ("MIT.txt", "Apache-2.0.txt")])]
    for package in crates:
        # SQLite's licence is its blessing: it is in the public domain. That of zstd comes with its crate.
        if package["name"] == "libsqlite3-sys":
            parts.append(("sqlite", sqlite(package), "blessing", []))
        if package["name"] == "zstd-sys":
            parts.append(("zstd", package["version"].split("+zstd.")[1], "BSD-3-Clause", []))
    if target.endswith("-musl"):
        zig = "target/dist-tools/ziglang"
        (folder,) = glob.glob("target/dist-tools/ziglang-*.dist-info")
        parts.append(("musl", "of zig " + os.path.basename(folder).removesuffix(".dist-info").split("-")[1], "MIT", [f"{zig}/lib/libc/musl/COPYRIGHT"]))
    return parts


def component(package):
    one = {"type": "library", "bom-ref": purl(package), "name": package["name"], "version": package["version"],
           "purl": purl(package)}
    if package["license"]:
        one["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    elif package["license_file"]:
        one["licenses"] = [{"license": {"name": "its own, " + package["license_file"]}}]
    if order(package) in digests:
        one["hashes"] = [{"alg": "SHA-256", "content": digests[order(package)]}]
    return one


def reference(key):
    return own["bom-ref"] if key == root else purl(packages[key])


dependencies = [{"ref": reference(key), "dependsOn": sorted({reference(one) for one in needed(nodes[key])})} for key in reached]
stamp = subprocess.run(["date", "--utc", "--date=@" + os.environ["SOURCE_DATE_EPOCH"], "+%Y-%m-%dT%H:%M:%SZ"],
                       check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
document = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.5",
    "version": 1,
    "metadata": {"timestamp": stamp, "component": own},
    "components": [component(package) for package in crates] + [
        {"type": "library", "bom-ref": f"pkg:generic/{name}", "name": name, "version": version, "licenses": [{"expression": licence}]}
        for name, version, licence, _ in beside()
    ],
    "dependencies": sorted(dependencies, key=lambda one: one["ref"]),
}
# A number of its own, the same for the same contents.
digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
document["serialNumber"] = f"urn:uuid:{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-a{digest[17:20]}-{digest[20:32]}"
with open(sbom, "w", encoding="utf-8") as file:
    json.dump(document, file, indent=1, sort_keys=True)
    file.write("\n")

NAMES = re.compile(r"^(licen[cs]e|copying|copyright|notice|unlicense)", re.IGNORECASE)
texts, of_text, without = {}, {}, []


def add(whose, path):
    """Adds the text of a licence, once for all that come with it."""
    text = open(path, encoding="utf-8", errors="replace").read().strip().replace("\r\n", "\n")
    key = hashlib.sha256(" ".join(text.split()).encode()).hexdigest()
    texts[key] = text
    of_text.setdefault(key, []).append(f"{whose}, {os.path.basename(path)}")


for name, version_of, licence, paths in beside():
    for path in paths:
        add(f"{name} {version_of}", path)
for package in crates:
    folder = folder_of(package)
    files = sorted(name for name in os.listdir(folder) if NAMES.match(name) and os.path.isfile(os.path.join(folder, name)))
    if not files:
        without.append(package)
    for name in files:
        add(f"{package['name']} {package['version']}", os.path.join(folder, name))

with open(licences, "w", encoding="utf-8") as file:
    file.write("The programs are built of the crates below. Each licence stands once, after the crates that come with it.\n\n")
    for package in crates:
        licence = package["license"] or f"its own, {package['license_file']}"
        file.write(f"{package['name']} {package['version']}: {licence}\n")
    for name, version_of, licence, _ in beside():
        file.write(f"{name} {version_of}: {licence}\n")
    if without:
        file.write("\nWithout a file of their own, under the licences that they name:\n")
    for package in without:
        if package["license"] is None:
            sys.exit(f"contents.py: {package['name']} names no licence and has no file of one")
        file.write(f"{package['name']} {package['version']}\n")
    for key in sorted(texts, key=lambda key: of_text[key]):
        line = "-" * 100
        file.write(f"\n{line}\n" + "\n".join(of_text[key]) + f"\n{line}\n\n{texts[key]}\n")
