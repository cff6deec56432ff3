// Pages that caches keep are the same for everybody. A cookie that says nothing but "signed in" turns their link to the
// sign-in page into the links of someone who is.

if (document.cookie.split("; ").includes("seawall-signed-in=1")) {
  const link = document.querySelector("[data-sign-in]");
  if (link) {
    const brief = document.createElement("a");
    brief.href = "/brief";
    brief.textContent = "Your brief";
    link.before(brief);
    link.href = "/account";
    link.textContent = "Account";
  }
}
