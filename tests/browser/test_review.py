"""The queue worked by keyboard in a real browser: 20 items, no mouse."""

import time
from datetime import timedelta

import pytest
from django.core.management import call_command

from feedback import review_claims, review_rows
from feedback.models import InsightFeedback, InsightText, ReviewClaim, ReviewEvent
from feedback.review_claims import live_claims
from tests.accounts.access import person
from tests.feedback.reviewing import decided, flag, moderator, row

pytestmark = pytest.mark.django_db(transaction=True)
ITEMS = 20


@pytest.fixture
def queue():
    call_command("migrate", verbosity=0)
    InsightText.objects.bulk_create(
        InsightText(
            insight_id=f"i{n:02}", headline=f"Headline number {n}", summary="Fees rise. " * 40, category="mempool",
            confidence=0.8, evidence=[{"kind": "block", "value": 975_000 + n}], is_demo=True,
        )
        for n in range(ITEMS)
    )  # fmt: skip
    InsightFeedback.objects.bulk_create(
        InsightFeedback(
            insight_id=f"i{n:02}", user_id=f"u{n}-{k}", flag_type="inaccurate", flag_reason="wrong block"
        )
        for n in range(ITEMS)
        for k in range(3 + ITEMS - n)
    )
    review_rows.refresh()


@pytest.fixture
def ana(queue, visitor):
    person("moderators")
    visitor.sign_in("moderators")
    visitor.go("/review/")
    visitor.page.wait_for_function("document.querySelector('.review-row[aria-current]')")
    return visitor


def shown(page):
    return page.locator("#review-item article").get_attribute("data-insight")


def wait_for(page, insight):
    page.wait_for_function(
        "id => document.querySelector('#review-item article')?.dataset.insight === id", arg=insight
    )


def test_twenty_items_are_worked_without_a_mouse(ana):
    page, keys, waits = ana.page, ["1", "2", "3", "4", "0"], []
    for n in range(ITEMS):
        assert shown(page) == f"i{n:02}"
        if n == 3:
            page.keyboard.press("n")
            page.keyboard.type("4 keys sleep: 1 2 s u")
            page.keyboard.press("Escape")
        begun = time.perf_counter()
        page.keyboard.press(keys[n % 5])
        if n < ITEMS - 1:
            wait_for(page, f"i{n + 1:02}")
            waits.append(time.perf_counter() - begun)
    page.wait_for_selector(".review-end")
    assert ReviewEvent.objects.count() == ITEMS and not ReviewClaim.objects.exists()
    assert ReviewEvent.objects.get(insight_id="i03").note == "4 keys sleep: 1 2 s u"
    assert set(ReviewEvent.objects.values_list("verdict", flat=True)) == {
        "inaccurate", "misleading", "spam", "nothing_wrong", "already_gone",
    }  # fmt: skip
    waits.sort()
    print(
        f"next item drawn after {waits[len(waits) // 2] * 1000:.0f} ms, the slowest {waits[-1] * 1000:.0f} ms"
    )
    assert waits[0] < 0.2  # what it can do: a busy machine only adds, and slows most
    page.keyboard.press("Control+z")
    wait_for(page, f"i{ITEMS - 1:02}")
    assert row(f"i{ITEMS - 1:02}").state == "waiting"
    assert page.locator("#review-said").inner_text() == "Undone: Already gone"


def test_looking_around_holds_nothing_and_enter_does(ana, monkeypatch):
    monkeypatch.setattr(review_claims, "LEAVING", timedelta(seconds=0.5))
    page = ana.page
    page.keyboard.press("j")
    wait_for(page, "i01")
    page.keyboard.press("j")
    wait_for(page, "i02")
    page.keyboard.press("k")
    wait_for(page, "i01")
    assert not ReviewClaim.objects.exists()
    page.keyboard.press("Enter")
    page.wait_for_selector("#review-item article:not([data-token=''])")
    assert ReviewClaim.objects.get().insight_id == "i01"
    page.keyboard.press("x")
    wait_for(page, "i02")
    assert ReviewClaim.objects.get().insight_id == "i02"
    page.keyboard.press("s")
    wait_for(page, "i03")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "review-find"
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert page.locator("#review-keys").is_visible()
    page.keyboard.press("Escape")
    ana.go("/schedule/")
    page.wait_for_function("true")
    end = time.monotonic() + 10
    while live_claims().exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert not live_claims().exists()  # leaving gives it back within seconds


def test_closing_a_second_tab_or_reloading_keeps_what_the_first_holds(ana, monkeypatch):
    monkeypatch.setattr(review_claims, "LEAVING", timedelta(seconds=1.5))
    page = ana.page
    page.keyboard.press("Enter")
    page.wait_for_selector("#review-item article:not([data-token=''])")
    second = page.context.new_page()
    second.goto(page.url)
    second.wait_for_selector("#review-item article:not([data-token=''])")
    second.close()
    page.reload()
    page.wait_for_selector("#review-item article:not([data-token=''])")
    time.sleep(review_claims.LEAVING.total_seconds() + 0.5)
    held = live_claims().get()
    assert str(held.token) == page.locator("#review-item article").get_attribute("data-token")


def test_an_escalation_asks_for_its_note_and_a_verdict_is_undone_in_sight(ana):
    page = ana.page
    page.keyboard.press("5")
    assert "write a note first" in page.locator("#review-said").inner_text()
    page.keyboard.type("legal?")
    page.keyboard.press("Escape")
    page.keyboard.press("5")
    wait_for(page, "i01")
    assert row("i00").state == "escalated"
    page.keyboard.press("4")
    wait_for(page, "i02")
    assert page.locator("#review-said").inner_text() == "Nothing wrong · u undo"
    page.keyboard.press("u")
    wait_for(page, "i01")
    assert row("i01").state == "waiting"


def test_a_late_click_and_newer_flags_are_told(ana):
    page = ana.page
    flag("i00", "late", reason="something else entirely")
    page.keyboard.press("1")
    page.wait_for_selector(".review-said.bad")
    assert "1 flag has come since you looked" in page.locator("#review-said").inner_text()
    assert "something else entirely" in page.locator("#review-item").inner_text()
    decided(moderator("bo"), "i00")
    page.keyboard.press("1")
    page.wait_for_function("document.querySelector('#review-said').textContent.includes('bo decided')")
    ana.faults = [fault for fault in ana.faults if "409" not in fault]


def test_a_session_that_ends_keeps_the_note(ana):
    page = ana.page
    page.keyboard.press("n")
    page.keyboard.type("half a thought")
    page.keyboard.press("Escape")
    cookies = [each for each in page.context.cookies() if each["name"] != "sessionid"]
    page.context.clear_cookies()
    page.context.add_cookies(cookies)
    page.keyboard.press("4")
    page.wait_for_selector(".review-said.bad")
    assert "You are signed out" in page.locator("#review-said").inner_text()
    assert page.locator("#review-note").input_value() == "half a thought"
    assert not ReviewEvent.objects.exists()
    ana.sign_in("moderators")
    ana.go("/review/")
    page.wait_for_function("document.getElementById('review-note').value === 'half a thought'")
    page.keyboard.press("4")
    wait_for(page, "i01")
    assert ReviewEvent.objects.get().note == "half a thought"
    ana.faults = [fault for fault in ana.faults if "401" not in fault]


@pytest.mark.parametrize("width", [1280, 390])
def test_the_verdict_bar_is_in_view_and_no_page_is_wider_than_its_window(ana, width):
    page = ana.page
    page.set_viewport_size({"width": width, "height": 720})
    for path in ("/review/", "/review/history/"):
        ana.go(path)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path
    ana.go("/review/")
    box = page.locator("#review-bar").bounding_box()
    assert box["y"] >= 0 and box["y"] + box["height"] <= 720


def test_several_are_decided_together_after_a_look_at_the_list(ana):
    page = ana.page
    for n in (0, 1):
        page.locator(f".review-row[data-insight=i{n:02}] input").focus()
        page.keyboard.press("Space")
    page.locator("[data-do=bulk]").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#review-bulk[open]")
    assert page.locator(".review-bulk-rows li").count() == 2
    page.locator("[data-bulk-verdict=spam]").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#review-said').textContent === '2 decided'")
    assert set(ReviewEvent.objects.values_list("insight_id", flat=True)) == {"i00", "i01"}
