"""What templates can say: ages, figures, words, prose, diffs and pictures. All of it pure, none of it asks the database."""
