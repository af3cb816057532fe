"""What Verbatim is made of, looked at from the outside: packages with known vulnerabilities, licences, and what lies in an image."""
