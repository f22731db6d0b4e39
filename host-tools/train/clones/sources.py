"""The repositories, their licences, and how pairs are read from each. Earlier sources win where texts are alike."""

from collections.abc import Callable
from dataclasses import dataclass

from clones import commits, documents, posts, records, reports, senate, spoken
from clones.repository import Repository

CC_BY, PUBLIC = "CC BY 4.0", "public domain"


@dataclass(frozen=True)
class Source:
    name: str
    repository: str  # owner/name on GitHub
    licence: str
    kind: str
    style: str  # of the summaries: sentence or title
    read: Callable[[Repository], object]
    support: float  # least share of a summary's content words that the text has


def everyday(name, repository, licence, kind, style, read, support=0.4):
    return Source(name, repository, licence, kind, style, read, support)


EVERYDAY = [
    everyday("asrs-synopsis", "lingyigu/acas", PUBLIC, "report", "sentence", reports.asrs),
    everyday("nasa-lessons", "davidmeza1/doctopics", PUBLIC, "report", "sentence", reports.llis),
    everyday("nasa-lessons-title", "davidmeza1/doctopics", PUBLIC, "report", "title", reports.llis_title),
    everyday("mts-dialog", "abachaa/MTS-Dialog", CC_BY, "dialogue", "sentence", spoken.mts, 0.5),
    everyday("qmsum", "Yale-LILY/QMSum", "MIT; transcripts CC BY 4.0 and OGL", "meeting", "sentence", spoken.qmsum),
    everyday("qmsum-topic", "Yale-LILY/QMSum", "MIT; transcripts CC BY 4.0 and OGL", "meeting", "title", spoken.qmsum_topic, 0.5),
    everyday("digitalgov", "GSA/digitalgov.gov", "public domain, CC0-1.0", "blog", "sentence",
             lambda repo: posts.pages(repo, "content", ("deck", "summary"), r"content/(authors|topics|sources|services|communities)/")),
    everyday("18f", "18F/18f.gsa.gov", "public domain, CC0-1.0", "blog", "sentence",
             lambda repo: posts.pages(repo, "content/posts", ("description", "excerpt"))),
    everyday("bssw", "betterscientificsoftware/bssw.io", "MIT", "blog", "sentence", posts.bssw),
    everyday("carpentries", "carpentries/carpentries.org", CC_BY, "blog", "sentence",
             lambda repo: posts.pages(repo, "content/posts", ("teaser",))),
    everyday("ropensci", "ropensci/roweb3", CC_BY, "blog", "sentence",
             lambda repo: posts.pages(repo, "content/blog", ("description",), r"\.(es|pt|fr|de)\.(md|Rmd)$|\.Rmd$")),
    everyday("nps", "kyyahan3/Park-Rating", PUBLIC, "blog", "sentence",
             lambda repo: posts.parks(repo, "thingstodo", "longDescription", "shortDescription")),
    everyday("nps-news-title", "kyyahan3/Park-Rating", PUBLIC, "news", "title",
             lambda repo: posts.parks(repo, "newsreleases", "abstract", "title")),
    everyday("github-topics", "github/explore", CC_BY, "encyclopedia", "sentence", posts.explore),
    everyday("app-summary", "AppImage/appimage.github.io", "CC0-1.0 and the like, read in each file", "product", "title",
             posts.appstream),
    everyday("storybook-title", "global-asp/asp-source", "CC BY 3.0 (other stories are left out)", "story", "title",
             posts.storybook, 0.5),
    everyday("carpentries-title", "carpentries/carpentries.org", CC_BY, "blog", "title",
             lambda repo: posts.pages(repo, "content/posts", ("teaser",), titles=True), 0.6),
    everyday("senate-lead", senate.RELEASES, PUBLIC, "news", "sentence", senate.leads, 0.6),
    everyday("senate-title", senate.RELEASES, PUBLIC, "news", "title", senate.headlines, 0.5),
]  # fmt: skip


def technical(name, repository, licence, kind, style, read, support=0.5):
    return Source(name, repository, licence, kind, style, read, support)


def described(*paths, depth, before=None):
    """Pages below these paths with a description in their head, as they were before a date."""
    def read(repo):
        commit = repo.last_before(before) if before else "HEAD"
        return documents.described(repo, paths, depth=depth, commit=commit)
    return read  # fmt: skip


SAP = {"datasphere": "sap-datasphere", "btp": "btp-cloud-platform", "integration": "btp-integration-suite", "ui5": "sapui5",
       "neo": "btp-neo-environment", "identity": "btp-cloud-identity-services"}  # fmt: skip
VULNDB = "CC BY 4.0 (entries)"
TECHNICAL = [
    technical("vagov", "department-of-veterans-affairs/vagov-content", "CC0-1.0", "article", "sentence",
              documents.pages_at_their_height),
    technical("gcp-community", "GoogleCloudPlatform/community", CC_BY, "article", "sentence", documents.tutorials),
    *(technical(f"sap-{name}", f"SAP-docs/{repository}", CC_BY, "article", "sentence", documents.topics)
      for name, repository in SAP.items()),
    technical("influxdata", "influxdata/docs-v2", "MIT", "article", "sentence",
              described("content", depth=4, before="2024-01-01")),
    technical("go-vulndb", "golang/vulndb", VULNDB, "advisory", "title", records.go_vulndb),
    technical("ruby-advisories", "rubysec/ruby-advisory-db", "public domain, CC BY 4.0 (OSVDB's are left out)", "advisory", "title",
              records.ruby_advisories),
    technical("peps", "python/peps", "public domain, CC0-1.0, read in each file", "proposal", "title", records.peps, 0.4),
    technical("rust-rfcs", "rust-lang/rfcs", "MIT OR Apache-2.0 (from RFC 2045 on)", "proposal", "sentence", records.rust_rfcs),
    technical("xeps", "xsf/xeps", "XSF's permission notice (MIT-like)", "proposal", "sentence", records.xeps),
    technical("compliance-rules", "ComplianceAsCode/content", "BSD-3-Clause", "advisory", "title", records.compliance_rules),
    technical("windows-drivers", "MicrosoftDocs/windows-driver-docs", CC_BY, "article", "sentence",
              described("windows-driver-docs-pr", depth=2)),
    technical("win32", "MicrosoftDocs/win32", CC_BY, "article", "sentence", described("desktop-src", depth=2), 0.6),
    technical("cpp-docs", "MicrosoftDocs/cpp-docs", CC_BY, "article", "sentence", described("docs", depth=3)),
    technical("powershell-cmdlets", "MicrosoftDocs/windows-powershell-docs", CC_BY, "article", "sentence", documents.cmdlets, 0.6),
    technical("office-cmdlets", "MicrosoftDocs/office-docs-powershell", CC_BY, "article", "sentence", documents.cmdlets, 0.6),
    technical("opam", "ocaml/opam-repository", "CC0-1.0", "package", "title", records.opam),
    technical("hackage", "commercialhaskell/all-cabal-metadata", "MIT; packages under permissive licences alone", "package", "title",
              records.cabal),
    technical("haikuports", "haikuports/haikuports", "MIT", "package", "title", records.haikuports),
    technical("commits-go-tools", "golang/tools", "BSD-3-Clause", "commit", "title", commits.commits),
    technical("commits-go-vulndb", "golang/vulndb", "BSD-3-Clause", "commit", "title", commits.commits),
    technical("commits-curl", "curl/curl", "curl (MIT-like)", "commit", "title", commits.commits),
    technical("commits-gvisor", "google/gvisor", "Apache-2.0", "commit", "title", commits.commits),
    technical("commits-folly", "facebook/folly", "Apache-2.0", "commit", "title", commits.commits),
    technical("commits-compliance", "ComplianceAsCode/content", "BSD-3-Clause", "commit", "title", commits.commits),
    *(technical(f"headings-{name}", repository, CC_BY, "article", "title", documents.headings(*paths, depth=depth), 0.75)
      for name, repository, paths, depth in (
          ("sap", "SAP-docs/btp-cloud-platform", ["docs"], 2),
          ("sap-integration", "SAP-docs/btp-integration-suite", ["docs"], 2),
          ("gcp", "GoogleCloudPlatform/community", ["tutorials", "archived"], 9),
          ("windows-drivers", "MicrosoftDocs/windows-driver-docs", ["windows-driver-docs-pr"], 2),
          ("win32", "MicrosoftDocs/win32", ["desktop-src"], 2),
          ("cpp", "MicrosoftDocs/cpp-docs", ["docs"], 3),
      )),
    *(technical(f"titles-{name}", f"MicrosoftDocs/{repository}", CC_BY, "article", "title", documents.titles(*paths, depth=depth), 0.75)
      for name, repository, paths, depth in (
          ("cpp", "cpp-docs", ["docs"], 3),
          ("biztalk", "biztalk-docs", ["biztalk", "his"], 2),
          ("dynamics-ax", "DynamicsAX2012-technet", ["dynamicsax2012-technet"], 2),
      )),
    *(technical(f"headings-{name}", repository, CC_BY, "article", "title", documents.headings(*paths), 0.75)
      for name, repository, paths in (
          ("biztalk", "MicrosoftDocs/biztalk-docs", ["biztalk", "his"]),
          ("dynamics-ax", "MicrosoftDocs/DynamicsAX2012-technet", ["dynamicsax2012-technet"]),
          ("ui5", "SAP-docs/sapui5", ["docs"]),
      )),
]  # fmt: skip
