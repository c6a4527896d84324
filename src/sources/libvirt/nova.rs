//! What nova writes into the metadata of a domain.
//!
//! ```text
//! <instance>
//!   <name>web-1</name>
//!   <flavor name="m1.tiny">…</flavor>
//!   <owner>
//!     <project uuid="b1e2d3c4a5f60718293a4b5c6d7e8f90">physics</project>
//! ```

use anyhow::{Context, Result, ensure};
use roxmltree::{Document, Node};
use serde::{Deserialize, Serialize};

/// The namespaces, the newest one first.
pub const NAMESPACES: [&str; 2] =
    ["http://openstack.org/xmlns/libvirt/nova/1.1", "http://openstack.org/xmlns/libvirt/nova/1.0"];

/// The longest metadata that is read, in bytes. Nova writes about 1 kB.
const LONGEST: usize = 256 << 10;

/// What nova knows of an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nova {
    /// Its display name, which its owner chose.
    pub name: String,
    /// Its flavor, such as `m1.tiny`.
    pub flavor: String,
    /// The ID of its project.
    pub project: String,
}

/// Reads the element `instance` of nova's metadata. What is missing is empty.
///
/// # Errors
/// Fails if the text is no XML, or too long.
pub fn parse(xml: &str) -> Result<Nova> {
    ensure!(xml.len() <= LONGEST, "nova's metadata has {} bytes", xml.len());
    let document = Document::parse(xml).context("nova's metadata is no XML")?;
    let instance = document.root_element();
    let text = |node: Node| node.text().unwrap_or_default().trim().to_string();
    let attribute = |node: Node, name| node.attribute(name).unwrap_or_default().to_string();
    Ok(Nova {
        name: child(instance, "name").map(text).unwrap_or_default(),
        flavor: child(instance, "flavor").map(|flavor| attribute(flavor, "name")).unwrap_or_default(),
        project: child(instance, "owner")
            .and_then(|owner| child(owner, "project"))
            .map(|project| attribute(project, "uuid"))
            .unwrap_or_default(),
    })
}

fn child<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    node.children().find(|child| child.tag_name().name() == name)
}
