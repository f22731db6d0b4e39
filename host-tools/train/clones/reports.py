"""Reports, as everyday pairs (id, group, text, summaries): NASA's lessons learned, and incidents that pilots reported to it.

Until about 2008 incidents were written in capitals and abbreviations; what these are is known from the press releases.
"""

import csv
import io
import re
from collections import Counter

from clones.everyday import first_sentence
from clones.repository import Repository
from clones.senate import RELEASES, releases


def llis(repo: Repository):
    """Lessons and their abstracts, or the first sentences of these."""
    for r in csv.DictReader(io.StringIO(repo.file("data/llis.csv"))):
        g, lesson, abstract = r["LessonId"], r["Lesson"] or "", r["Abstract"] or ""
        short = first_sentence(abstract)
        sums = [abstract] if len(abstract) <= 300 else [short] if 60 <= len(short) <= 300 else []
        if sums and len(lesson) > 200:
            yield g + "/lesson", g, lesson, sums


def llis_title(repo: Repository):
    """Abstracts, or lessons where these are short, and their titles."""
    for r in csv.DictReader(io.StringIO(repo.file("data/llis.csv"))):
        text = r["Abstract"] if len(r["Abstract"] or "") >= 150 else r["Lesson"]
        yield r["LessonId"] + "/title", r["LessonId"], text or "", [r["Title"] or ""]


# What the abbreviations of the older incidents stand for.
ASRS = dict(
    x.split("=")
    for x in """ACFT=aircraft;ACFT'S=aircraft's;TFC=traffic;RWY=runway;RWYS=runways;APCH=approach;APCHS=approaches;
APCHING=approaching;APCHED=approached;ACR=air carrier;CTLR=controller;CTLRS=controllers;CTLR'S=controller's;TWR=tower;CLB=climb;
CLBING=climbing;CLBED=climbed;CLBOUT=climbout;FLT=flight;FLTS=flights;PLT=pilot;PLTS=pilots;PLT'S=pilot's;HDG=heading;HDGS=headings;
SMA=small aircraft;SMT=small transport;POS=position;APPROX=approximately;CLRED=cleared;CLR=clear;CLRING=clearing;CLRLY=clearly;
CLRNC=clearance;CLRNCS=clearances;ARPT=airport;ARPTS=airports;DEP=departure;DEPS=departures;DEG=degree;DEGS=degrees;CTL=control;
CTLED=controlled;CTLS=controls;UNCTLED=uncontrolled;DSCNT=descent;DSNT=distant;DSND=descend;DSNDING=descending;DSNDED=descended;
LNDG=landing;FREQ=frequency;FREQS=frequencies;NMAC=near midair collision;RPTED=reported;RPTR=reporter;RPT=report;RPTS=reports;
RPTING=reporting;TKOF=takeoff;TKOFS=takeoffs;CAPT=captain;BTWN=between;PROB=problem;PROBS=problems;ARR=arrival;ARRS=arrivals;
GND=ground;WX=weather;KTS=knots;LCL=local;SPD=speed;SPDS=speeds;CTR=center;CTRLINE=centerline;GAR=go around;MLG=medium large aircraft;
VERT=vertical;XING=crossing;LGT=large aircraft;LTT=light transport;FLC=flight crew;MINS=minutes;MIN=minute;SUPVR=supervisor;
HELI=helicopter;SEP=separation;ENG=engine;PF=pilot flying;PNF=pilot not flying;SYS=system;FPM=feet per minute;FT=feet;
ENRTE=en route;PROC=procedure;PROCS=procedures;PROX=proximity;RTE=route;HDOF=handoff;ATTN=attention;OPERROR=operational error;
AUTOPLT=autopilot;CHKED=checked;CHK=check;CHKING=checking;CHKLIST=checklist;TXWY=taxiway;LOC=localizer;PWR=power;
LTSS=less than standard separation;MLT=medium large transport;XMISSION=transmission;XMISSIONS=transmissions;INTXN=intersection;
COMS=communications;PAX=passengers;XPONDER=transponder;WBOUND=westbound;EBOUND=eastbound;NBOUND=northbound;SBOUND=southbound;
SWBOUND=southwestbound;COPLT=copilot;HORIZ=horizontal;INST=instrument;VIS=visibility;IDENTED=identified;ALT=altitude;ALTS=altitudes;
RESTR=restriction;COORD=coordination;YRS=years;HVY=heavy;OP=operation;XWIND=crosswind;DISTR=distraction;DISTRS=distractions;
DEST=destination;PVT=private;OVCST=overcast;TURB=turbulence;INBND=inbound;FGT=fighter;FGT'S=fighter's;SECS=seconds;SEC=second;
EMER=emergency;HRS=hours;AIRSPD=airspeed;CORP=corporate;WDB=wide body;SVC=service;TRNING=training;TRN=turn;PLTDEV=pilot deviation;
CONFIGN=configuration;UNAUTH=unauthorized;MGMNT=management;FO=first officer;F/O=first officer;R=right;L=left;N=north;S=south;
E=east;W=west;NW=northwest;NE=northeast;SW=southwest;SE=southeast;MI=miles;W/O=without;W/=with;ETC=etc;A=a;I=I;FL=FL;MIL=military;EBND=eastbound;WBND=westbound;NBND=northbound;SBND=southbound;
NONCTLED=uncontrolled;TCASII=TCAS II;AUTH=authorization;APCH'S=approach's;FREQ'S=frequencies;ALTDEV=altitude deviation;
NON=non;ADHERENCE=adherence;RPTEDLY=reportedly;SIT=situation;MAINT=maintenance;EQUIP=equipment;COMMUTER=commuter""".replace(
        "\n", ""
    ).split(";")
)


def asrs_plain(s: str, known: set[str], names: set[str]) -> str:
    """Expand the abbreviations and undo the capitals; codes such as VFR or BOS stay as they are."""

    def one(m):
        w = m.group(0)
        base = w[:-2] if w.endswith("'S") else w
        if w in ASRS or base in ASRS:
            return ASRS.get(w) or ASRS[base] + "'s"
        if w.lower() in known:
            return w.lower()
        return w.capitalize() if w.capitalize() in names else w if len(w) <= 5 else w.lower()

    s = re.sub(r"(?<!\d)[A-Z][A-Z'/]*(?<!')", one, s.replace(";", ","))
    s = re.sub(r"\ban (?=(?:large|light|small|medium|wide|fighter|commuter)\b)", "a ", s)
    s = re.sub(r"\ba (?=(?:air carrier|aircraft|approach|airport)\b)", "an ", s)
    return re.sub(r"(^|[.?!] +)([a-z])", lambda m: m.group(1) + m.group(2).upper(), s)


def asrs(repo: Repository):
    """NASA ASRS incident reports: the analyst's synopsis of the reporter's narrative."""
    rows = [x for x in csv.reader(io.StringIO(repo.file("src/02-ASRS_DBOnline.csv"))) if len(x) > 90]
    h = next(x for x in rows if "Synopsis" in x)
    n, s = h.index("Narrative"), h.index("Synopsis")
    known, names = Counter(), Counter()
    for _, _, paras in releases(Repository(repo.clones, RELEASES)):
        known.update(re.findall(r"(?<![A-Z])\b[a-z][a-z']+", " ".join(paras)))
        names.update(re.findall(r"(?<=[a-z] )[A-Z][a-z]{3,}\b", " ".join(paras)))
    known = {w for w, k in known.items() if k >= 3}
    names = {w for w, k in names.items() if k >= 3}
    for x in rows:
        if x is h or not x[n]:
            continue
        if x[n].upper() == x[n]:
            yield x[0], x[0], asrs_plain(x[n], known, names), [asrs_plain(x[s], known, names)]
        else:  # the export writes every comma as a semicolon
            yield x[0], x[0], x[n].replace(";", ","), [x[s].replace(";", ",")]
