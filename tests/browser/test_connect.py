"""Connect: the lines are pasted for real, into a shell, and the open page turns green."""

import os
import subprocess

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Person, is_unreloaded

pytestmark = pytest.mark.browser


def make_key(person: Person, name: str, kind: str) -> Page:
    page = person.open("/connect/")
    page.get_by_label("Name").fill(name)
    page.locator("[name=agent]").select_option(label=kind)
    page.get_by_role("button", name="Make the key").click()
    expect(page.locator("#paste-key")).to_be_visible()
    return page


def paste(text: str) -> str:
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, timeout=60, env=kept, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("name", "title"), [("curl", "Hello from curl"), ("python", "Hello from Python")])
def test_the_lines_of_curl_and_python_work_as_pasted(person: Person, name: str, title: str):
    page = make_key(person, f"pasted with {name}", "Something else")
    page.evaluate("window.isNotReloaded = true")
    expect(page.locator("#signal")).to_contain_text("Nothing heard")
    paste(page.locator(f"#paste-{name}").text_content() or "")
    expect(page.locator("#signal")).to_contain_text("It is connected.")
    expect(page.locator("#signal")).to_have_attribute("data-come", "")
    assert is_unreloaded(page)
    page.locator("#signal").get_by_role("link", name=title).click()
    expect(page.locator("h1")).to_have_text(title)


def test_the_line_of_zeroclaws_backend_works_as_pasted(person: Person):
    page = make_key(person, "zeroclaw", "ZeroClaw")
    paste(page.locator("#paste-zeroclaw-backend").text_content() or "")
    expect(page.locator("#signal")).to_contain_text("Hello from ZeroClaw")


@pytest.mark.parametrize("person", [{"java_script_enabled": False}], indirect=True, ids=["no script"])
def test_without_script_one_looks_again_and_revokes(person: Person):
    page = make_key(person, "paper", "Something else")
    text = page.locator("#paste-curl").text_content() or ""
    page.get_by_role("link", name="Look again").click()
    expect(page.locator("#signal")).to_contain_text("Nothing heard")
    paste(text)
    page.reload()
    expect(page.locator("#signal")).to_contain_text("It is connected.")
    row = page.locator("tr", has_text="paper").first
    row.locator("summary").click()
    row.get_by_role("button", name="Revoke paper").click()
    expect(page.locator(".toast")).to_contain_text("Revoked paper")
