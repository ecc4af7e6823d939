//! What the images show and what it is called: digits, or Fashion-MNIST's clothes.

use std::path::Path;

use bilro::data::FASHION_MNIST_CLASSES;

/// The words for the images and their classes.
pub struct Subject {
    /// Where the images are from.
    pub about: String,
    /// An image, at the start of a sentence.
    pub image: &'static str,
    /// A class.
    pub one: &'static str,
    /// Several.
    pub many: &'static str,
    /// How many of their names a line has room for, among other words.
    pub some: usize,
    /// What each class is called.
    pub names: [&'static str; 10],
}

impl Subject {
    pub fn digits(about: String) -> Subject {
        let names = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
        Subject { about, image: "A digit", one: "digit", many: "digits", some: 8, names }
    }

    fn clothes(about: String) -> Subject {
        let names = FASHION_MNIST_CLASSES;
        Subject { about, image: "An image", one: "class", many: "classes", some: 4, names }
    }

    /// Of the folder in which the files are. They do not tell what they show: it is clothes where
    /// the path says `fashion`, unless it ends with the folder that torchvision gives to MNIST.
    pub fn of(folder: &Path) -> Subject {
        let about = format!("The images are those of {}", folder.display());
        let says_fashion = folder.to_string_lossy().to_lowercase().contains("fashion");
        if says_fashion && !folder.ends_with("MNIST/raw") {
            let what = "It is Fashion-MNIST, which has clothes of ten classes instead of digits.";
            Subject::clothes(format!("{about}.\n{what}"))
        } else {
            Subject::digits(format!("{about}."))
        }
    }

    /// What an image of this class shows.
    pub fn name(&self, class: u32) -> &'static str {
        self.names[class as usize]
    }
}
