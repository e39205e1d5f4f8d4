"""What templates can say: ages, figures, words, prose, diffs, pictures. None of it asks the database."""
