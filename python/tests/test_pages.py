"""The web page of `isthmus serve`, as a person uses it, in headless Chromium.

Screenshots for the README are taken on request: ISTHMUS_SCREENSHOTS=docs pytest python/tests/test_pages.py
"""

import os
import pathlib
import shutil
import urllib.request

import pytest

selenium = pytest.importorskip("selenium")
from selenium import webdriver  # noqa: E402
from selenium.common.exceptions import StaleElementReferenceException  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

import isthmus
from isthmus import openlineage

SECONDS = 20
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromium-driver are not installed")


@pytest.fixture(scope="module")
def shop(services):
    """A few tables in catalog shop, with lineage between them, and a user who may see one of them."""
    catalog = isthmus.catalog.connect()
    catalog.create_catalog("shop")
    for schema in ("raw", "clean", "bi"):
        catalog.create_schema(f"shop.{schema}")
    isthmus.write_deltalake("shop.raw.events", {"user": [1, 2], "at": ["a", "b"], "amount": [1.0, 2.0]})
    isthmus.write_deltalake("shop.raw.users", {"id": [1, 2], "country": ["DE", "FR"]})
    for _ in range(3):
        isthmus.write_deltalake("shop.clean.purchases", {"user": [1], "amount_eur": [1.5], "country": ["DE"]})
    isthmus.write_deltalake("shop.bi.daily_revenue", {"country": ["DE"], "revenue": [1.5]})
    column, dataset = openlineage.Column, openlineage.Dataset
    openlineage.post("isthmus", [dataset("file:///landing/events.csv")], [dataset("shop.raw.events", columns=tuple(
        column(name, "file:///landing/events.csv", name) for name in ("user", "at", "amount")))], "isthmus table append")
    openlineage.post("spark", [dataset("shop.raw.events"), dataset("shop.raw.users")], [dataset(
        "shop.clean.purchases", columns=(column("user", "shop.raw.events", "user"),
                                         column("amount_eur", "shop.raw.events", "amount", "TRANSFORMATION"),
                                         column("country", "shop.raw.users", "country"),
                                         column(None, "shop.raw.users", "id", "JOIN")))], "clean.py")
    openlineage.post("ray", [dataset("shop.clean.purchases")], [dataset("shop.bi.daily_revenue", columns=(
        column("country", "shop.clean.purchases", "country"),
        column("revenue", "shop.clean.purchases", "amount_eur", "AGGREGATION")))], "report.py")
    openlineage.flush(SECONDS)
    catalog.create_volume("shop.raw.landing")
    for name in ("2026/10/orders.csv", "2026/11/orders.csv", "2026/11/returns.csv", "readme <b>.txt"):
        with isthmus.fs.open(f"/Volumes/shop/raw/landing/{name}", "wb") as file:
            file.write(b"x" * 2048)
    catalog.create_user("ann@example.org")
    catalog.create_user("bob@example.org")
    catalog.grant(["USE CATALOG"], "catalog", "shop", to="bob@example.org")
    catalog.grant(["USE SCHEMA"], "schema", "shop.clean", to="bob@example.org")
    catalog.grant(["SELECT"], "table", "shop.clean.purchases", to="bob@example.org")
    yield {name: catalog.create_token(f"{name}@example.org") for name in ("ann", "bob")}
    catalog.delete_catalog("shop", force=True)


class Page:
    def __init__(self, driver, url):
        self.driver = driver
        self.url = url

    def wait(self, condition):
        # The page replaces what it shows: an element that was found may be gone when it is used.
        ignored = [StaleElementReferenceException]
        return WebDriverWait(self.driver, SECONDS, 0.1, ignored_exceptions=ignored).until(lambda _: condition())

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        return self.wait(lambda: self.all(selector) and self.all(selector)[0])

    def press(self, selector, *keys):
        """Click it, or type into it."""
        self.wait(lambda: self.all(selector) and (self.all(selector)[0].send_keys(*keys) if keys
                                                  else self.all(selector)[0].click()) is None)

    def reads(self, text):
        self.wait(lambda: text in self.one("body").text)

    def go(self, where):
        self.driver.get(f"{self.url}/#/{where}")

    def log_in(self, token):
        self.driver.delete_all_cookies()
        self.driver.get("about:blank")
        self.driver.get(self.url + "/")
        self.press("#token", token + Keys.ENTER)
        self.wait(lambda: not self.all("#token") and self.all("h1"))

    def shot(self, name):
        folder = os.environ.get("ISTHMUS_SCREENSHOTS")
        if folder:
            self.driver.save_screenshot(str(pathlib.Path(folder, name)))


@pytest.fixture(scope="module")
def page(shop, tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1320,780",
                     "--hide-scrollbars", f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield Page(driver, isthmus.services.server_info()["url"])
    driver.quit()


def admin_token():
    return isthmus.services.server_info()["token"]


def test_headers(services):
    url = isthmus.services.server_info()["url"]
    for path in ("/", "/app.js", "/app.css"):
        with urllib.request.urlopen(url + path) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy and "unsafe" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert b"http://" not in answer.read().replace(b"http://www.w3.org", b"")  # nothing from elsewhere


def test_log_in(page):
    page.driver.get(page.url + "/")
    page.press("#token", "wrong" + Keys.ENTER)
    page.reads("not valid")
    page.log_in(admin_token())
    page.reads("Catalogs")
    cookie = page.driver.get_cookie("ISTHMUS_TOKEN")
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict"


def test_search_and_open_a_table(page):
    page.log_in(admin_token())
    page.press("body", "/")  # the key that leads to the search
    page.press("#q:focus", "purch" + Keys.ENTER)
    page.press("#found a")
    page.reads("shop.clean.purchases")
    page.reads("amount_eur")
    page.reads("Version\n2")
    page.shot("page-table.png")
    page.press("[role=tab]", Keys.ARROW_RIGHT)
    page.press("[role=tab]:focus", Keys.ENTER)
    page.reads("Rows written")
    assert len(page.all("#panel tbody tr")) == 3
    page.press("[role=tab]:nth-child(3)")
    page.reads("bob@example.org")
    page.reads("from catalog shop")


def test_walk_the_lineage(page):
    page.log_in(admin_token())
    page.go("lineage/shop.clean.purchases")
    page.one("svg .here")
    assert len(page.all("svg .card")) == 5
    page.press(".bar button")
    page.one("svg .direct")
    page.shot("page-lineage.png")
    page.press("svg a[href*='daily_revenue']")
    page.wait(lambda: "daily_revenue" in page.one("h1").text)
    page.one("svg .here")


def test_files_of_a_volume(page, shop):
    page.log_in(admin_token())
    page.go("volume/shop.raw.landing")
    page.reads("readme <b>.txt")
    page.press("#files a")
    page.press("#files tr:nth-child(2) a")
    page.reads("returns.csv")
    assert [row.text.split(" 20")[0] for row in page.all("#files tbody tr")] == ["orders.csv 2.0 KiB", "returns.csv 2.0 KiB"]
    page.shot("page-volume.png")
    page.press("#trail a")
    page.reads("readme <b>.txt")

    catalog = isthmus.catalog.connect()
    folder = pathlib.Path(catalog.get("volume", "shop.raw.landing")["storage_location"].removeprefix("file://"), "many")
    folder.mkdir()
    for i in range(1001):
        (folder / f"{i:04}").touch()
    page.go("volume/shop.raw.landing/many")
    page.reads("0999")
    page.press("#files button")
    page.wait(lambda: len(page.all("#files tbody tr")) == 1001 and not page.all("#files button"))
    catalog.grant(["USE SCHEMA"], "schema", "shop.raw", to="bob@example.org")
    page.log_in(shop["bob"])
    page.go("volume/shop.raw.landing")
    page.reads("Not here, or not for you")
    catalog.grant(["READ VOLUME"], "volume", "shop.raw.landing", to="bob@example.org")
    page.driver.refresh()
    page.reads("readme <b>.txt")
    catalog.revoke(["READ VOLUME"], "volume", "shop.raw.landing", principal="bob@example.org")
    catalog.revoke(["USE SCHEMA"], "schema", "shop.raw", principal="bob@example.org")


def test_grants_hold_on_the_page(page, shop):
    page.log_in(shop["ann"])
    page.reads("nothing that you may see")
    page.go("search/purchases")
    page.reads("Nothing that you may see")
    page.go("table/shop.clean.purchases")
    page.reads("Not here, or not for you")

    page.log_in(shop["bob"])
    page.go("lineage/shop.clean.purchases")
    page.one("svg .here")
    shown = page.one("svg").get_attribute("outerHTML")
    assert "hidden 1" in shown and "daily_revenue" not in shown and "shop.raw" not in shown and "landing" not in shown
    for text, found in [("shop", ["shop"]), ("shop.", ["shop.clean", "shop.clean.purchases"]),
                        ("chases", ["shop.clean.purchases"])]:
        page.go("search/" + text)
        page.wait(lambda: [a.text for a in page.all("#found a")] == found)


def test_nothing_was_blocked(page):
    """No line in the browser's console but the refusals that the tests above asked for."""
    lines = [line for line in page.driver.get_log("browser") if line["level"] in ("SEVERE", "WARNING")]
    assert [line for line in lines if "status of 40" not in line["message"]] == []
