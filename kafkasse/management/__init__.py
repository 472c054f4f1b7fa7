"""Django finds the app's commands here."""
