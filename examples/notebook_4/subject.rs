//! Names of the images and classes: digits, or Fashion-MNIST's clothes.

use std::path::Path;

use bilro::data::FASHION_MNIST_CLASSES;

/// The words for the images and their classes.
pub struct Subject {
    /// The source of the images.
    pub about: String,
    /// "A digit", at the start of a sentence.
    pub image: &'static str,
    /// "digit".
    pub singular: &'static str,
    /// "digits".
    pub plural: &'static str,
    /// Number of names that fit in a sentence.
    pub listed: usize,
    /// The name of each class.
    pub names: [&'static str; 10],
}

impl Subject {
    pub fn digits(about: String) -> Subject {
        let names = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
        Subject { about, image: "A digit", singular: "digit", plural: "digits", listed: 8, names }
    }

    fn clothes(about: String) -> Subject {
        let names = FASHION_MNIST_CLASSES;
        Subject { about, image: "An image", singular: "class", plural: "classes", listed: 4, names }
    }

    /// The subject of a folder of files, which do not contain it: clothes if the path contains
    /// `fashion`, unless it ends with torchvision's folder for MNIST.
    pub fn of(folder: &Path) -> Subject {
        let about = format!("The images are those of {}", folder.display());
        let is_fashion = folder.to_string_lossy().to_lowercase().contains("fashion");
        if is_fashion && !folder.ends_with("MNIST/raw") {
            let note = "It is Fashion-MNIST, which has clothes of ten classes instead of digits.";
            Subject::clothes(format!("{about}.\n{note}"))
        } else {
            Subject::digits(format!("{about}."))
        }
    }

    /// The name of a class.
    pub fn name(&self, class: u32) -> &'static str {
        self.names[class as usize]
    }
}
