-- What every contract's billing month comes to, from the rows alone (reliability.md 5, R-901…R-903).
--
-- Written from the definitions, not from credits.assess: two that agree are a proof, one that was copied is none.
-- Spans of time are PostgreSQL's own ranges and multiranges, half open; lengths are intervals, to the microsecond;
-- money is numeric without a fraction. Parameters: month (its first day), at (the moment of the look),
-- contracts (ids, or NULL: all), version (of rules, instead of those in force; or NULL).
WITH RECURSIVE

-- --- whose month, and when it is --------------------------------------------------------------------------------

asked AS MATERIALIZED (
    SELECT id AS contract, customer_id AS customer, policy_id AS policy, own_rules_id AS own_rules, zone,
           %(month)s::date + (billing_day - 1) AS first_day,
           (%(month)s::date + interval '1 month')::date + (billing_day - 1) AS after_day
    FROM postmortems_contract
    WHERE %(contracts)s::bigint[] IS NULL OR id = ANY (%(contracts)s::bigint[])
),
-- No month of those asked for lies outside, in whatever zone.
reach AS MATERIALIZED (
    SELECT (min(first_day) - 1)::timestamp AT TIME ZONE 'UTC' AS since,
           (max(after_day) + 1)::timestamp AT TIME ZONE 'UTC' AS until
    FROM asked
),

-- --- which incidents can matter ---------------------------------------------------------------------------------

-- A duplicate, and what it goes on under in the end.
follows AS (
    SELECT id AS incident, merged_into_id AS into_id FROM incidents_incident WHERE merged_into_id IS NOT NULL
    UNION
    SELECT f.incident, i.merged_into_id FROM follows f JOIN incidents_incident i ON i.id = f.into_id
    WHERE i.merged_into_id IS NOT NULL
),
goes_on AS MATERIALIZED (
    SELECT f.incident, f.into_id FROM follows f JOIN incidents_incident i ON i.id = f.into_id
    WHERE i.merged_into_id IS NULL
),
counted AS MATERIALIZED (
    SELECT i.id AS incident, i.reference, i.state IN ('declared', 'acknowledged', 'mitigated') AS running,
           i.started_at AS began,
           i.declared_at AS said,
           CASE WHEN i.state IN ('declared', 'acknowledged', 'mitigated') THEN %(at)s::timestamptz
                ELSE coalesce(i.ended_at, i.resolved_at) END AS ended,
           CASE WHEN i.state IN ('declared', 'acknowledged', 'mitigated') THEN %(at)s::timestamptz
                ELSE i.resolved_at END AS unsaid
    FROM incidents_incident i, reach
    WHERE i.state NOT IN ('false_alarm', 'merged')
),
-- What it held down, and how gravely.
held_down AS MATERIALIZED (
    SELECT c.incident, m.component_id AS component, g.gravity,
           tstzrange(m.began_at, coalesce(m.ended_at, %(at)s::timestamptz)) AS span
    FROM counted c
    JOIN status_impact m ON m.source = 'incident:' || c.reference
    JOIN (VALUES ('degraded_performance', 2), ('partial_outage', 3), ('major_outage', 4)) g (level, gravity)
      ON g.level = m.level
    WHERE m.voided_at IS NULL AND m.began_at < coalesce(m.ended_at, %(at)s::timestamptz)
),
-- Parts of one incident are one trouble (R-1311): whoever is tied, over any number of ties, is of one family.
-- A duplicate is tied as what it goes on under; a false alarm never was, and ties nothing together.
ties AS MATERIALIZED (
    SELECT coalesce(g.into_id, l.incident_id) AS one, coalesce(h.into_id, l.other_id) AS other
    FROM incidents_incidentlink l
    LEFT JOIN goes_on g ON g.incident = l.incident_id
    LEFT JOIN goes_on h ON h.incident = l.other_id
    JOIN incidents_incident i ON i.id = l.incident_id AND i.state <> 'false_alarm'
    JOIN incidents_incident o ON o.id = l.other_id AND o.state <> 'false_alarm'
    WHERE l.tie = 'part'
),
both_ways AS MATERIALIZED (SELECT one, other FROM ties UNION SELECT other, one FROM ties),
kin AS (
    SELECT one AS incident, one AS relative FROM both_ways
    UNION
    SELECT k.incident, b.other FROM kin k JOIN both_ways b ON b.one = k.relative
),
families AS MATERIALIZED (SELECT incident, min(relative) AS family FROM kin GROUP BY incident),
extents AS MATERIALIZED (
    SELECT c.incident, coalesce(f.family, c.incident) AS family,
           least(c.began, c.said, h.began) AS since, greatest(c.ended, c.unsaid, h.ended) AS until,
           tstzrange(least(c.began, h.began), greatest(c.began, c.ended, h.ended)) AS hull
    FROM counted c
    LEFT JOIN families f USING (incident)
    LEFT JOIN (SELECT incident, min(lower(span)) AS began, max(upper(span)) AS ended
               FROM held_down GROUP BY incident) h USING (incident)
),
islands AS MATERIALIZED (
    SELECT *, count(*) FILTER (WHERE is_new) OVER (ORDER BY since, incident) AS island
    FROM (SELECT *, since > max(until) OVER (ORDER BY since, incident ROWS UNBOUNDED PRECEDING EXCLUDE CURRENT ROW)
                    AS is_new FROM extents) e
),
-- An outage of the month may have begun long before it: with everything that it overlaps, touches or is part of.
near AS (
    SELECT i.island FROM islands i, reach r WHERE i.since < r.until AND i.until > r.since
    UNION
    SELECT o.island FROM near n JOIN islands i USING (island) JOIN islands o USING (family)
),
outages AS MATERIALIZED (
    SELECT c.incident, i.family, c.running,
           tstzrange(c.began, greatest(c.began, c.ended)) AS happened,
           tstzrange(c.said, greatest(c.said, c.unsaid)) AS told,
           i.hull, i.since, i.until
    FROM counted c JOIN islands i USING (incident) JOIN near USING (island)
),
-- Nothing outside of this is ever looked at.
horizon AS MATERIALIZED (
    SELECT least(r.since, min(o.since)) AS since, greatest(r.until, max(o.until)) AS until
    FROM reach r LEFT JOIN outages o ON true GROUP BY r.since, r.until
),
hits AS MATERIALIZED (SELECT h.* FROM held_down h JOIN outages USING (incident)),
hit AS MATERIALIZED (SELECT DISTINCT component FROM hits),

-- --- how bad they were ------------------------------------------------------------------------------------------

-- Whose judgements hold for an incident: its own, and those of its duplicates until they were merged.
judges AS MATERIALIZED (
    SELECT incident, incident AS judge, NULL::timestamptz AS since, NULL::timestamptz AS until FROM outages
    UNION ALL
    SELECT o.incident, i.id, i.started_at, coalesce(i.closed_at, i.started_at)
    FROM outages o JOIN goes_on g ON g.into_id = o.incident JOIN incidents_incident i ON i.id = g.incident
),
turns AS MATERIALIZED (
    SELECT e.incident_id AS judge, e.at, (e.facts -> 'levels' ->> 0)::bigint AS was,
           (e.facts -> 'levels' ->> 1)::bigint AS became,
           row_number() OVER turn AS number, lead(e.at) OVER turn AS next_at
    FROM incidents_timelineentry e
    WHERE e.verb = 'severity' AND e.facts ->> 'levels' IS NOT NULL AND e.incident_id IN (SELECT judge FROM judges)
    WINDOW turn AS (PARTITION BY e.incident_id ORDER BY e.at, e.id)
),
levels AS MATERIALIZED (
    SELECT i.id AS judge, coalesce(t.was, i.severity_id) AS severity, tstzrange(NULL, t.at) AS span
    FROM incidents_incident i LEFT JOIN turns t ON t.judge = i.id AND t.number = 1
    WHERE i.id IN (SELECT judge FROM judges)
    UNION ALL
    SELECT judge, became, tstzrange(at, next_at) FROM turns
),
-- When it was at a rank or worse, of levels that earn credits.
bad AS MATERIALIZED (
    SELECT j.incident, r.rank, range_agg(l.span * tstzrange(j.since, j.until)) AS spans
    FROM judges j
    JOIN levels l USING (judge)
    JOIN incidents_severity s ON s.id = l.severity AND s.counts_for_credits
    JOIN generate_series(1, 4) r (rank) ON s.rank <= r.rank
    WHERE j.until IS NULL OR j.since < j.until
    GROUP BY j.incident, r.rank
),
excluded AS MATERIALIZED (
    SELECT e.incident_id AS incident, e.customer_id AS customer, range_agg(tstzrange(e.starts_at, e.ends_at)) AS spans
    FROM postmortems_exclusion e JOIN outages o ON o.incident = e.incident_id
    WHERE e.withdrawn_at IS NULL
    GROUP BY e.incident_id, e.customer_id
),

-- --- which rules ------------------------------------------------------------------------------------------------

plans AS MATERIALIZED (
    -- Of the terms that reach into the month, the first.
    SELECT DISTINCT ON (a.contract) a.contract, t.plan
    FROM asked a JOIN postmortems_term t ON t.contract_id = a.contract
    WHERE t.starts_on < a.after_day AND (t.last_day IS NULL OR t.last_day >= a.first_day)
    ORDER BY a.contract, t.starts_on
),
books AS MATERIALIZED (
    SELECT contract, first_day, own_rules AS book, 1 AS turn FROM asked JOIN plans USING (contract)
    WHERE own_rules IS NOT NULL
    UNION ALL
    SELECT a.contract, a.first_day, b.id, CASE b.plan WHEN '' THEN 3 ELSE 2 END
    FROM asked a JOIN plans p USING (contract)
    JOIN postmortems_rulebook b ON b.policy_id = a.policy AND b.plan IN (p.plan, '')
),
in_force AS MATERIALIZED (
    SELECT DISTINCT ON (b.book, b.first_day) b.book, b.first_day, v.id AS version
    FROM (SELECT DISTINCT book, first_day FROM books) b
    JOIN postmortems_ruleversion v ON v.book_id = b.book AND v.standing = 'in_force'
     AND (v.applies_from IS NULL OR v.applies_from <= b.first_day)
    ORDER BY b.book, b.first_day, v.applies_from DESC NULLS LAST, v.number DESC
),
judged_by AS MATERIALIZED (
    -- The first that says something of the month: a draft, or rules that begin later, change nothing.
    SELECT DISTINCT ON (contract) contract, version
    FROM (SELECT b.contract, f.version, b.turn FROM books b JOIN in_force f USING (book, first_day)
          WHERE %(version)s::bigint IS NULL
          UNION ALL
          SELECT contract, %(version)s::bigint, 0 FROM plans WHERE %(version)s::bigint IS NOT NULL) b
    ORDER BY contract, turn
),
rules AS MATERIALIZED (
    SELECT v.id AS version, v.stacking, v.overlap, v.mix, v.clock = 'said' AS by_word, v.scope = 'any' AS any_scope,
           v.proration = 'days' AS by_day, (v.cap_percent * 100)::bigint AS cap, v.notice_days,
           CASE v.least_level WHEN 'major_outage' THEN 4 WHEN 'partial_outage' THEN 3 ELSE 2 END AS least
    FROM postmortems_ruleversion v WHERE v.id IN (SELECT version FROM judged_by)
),
tiers AS MATERIALIZED (
    SELECT version_id AS version, measure, rank, make_interval(secs => longer_than_seconds) AS longer_than,
           below_percent * 1000 AS below, (percent * 100)::bigint AS points
    FROM postmortems_tier WHERE version_id IN (SELECT version FROM rules)
),

-- --- maintenance that was told in time (R-902) ------------------------------------------------------------------

-- What was told at a moment covers what every later word left of it: a window that grew was told late.
told AS MATERIALIZED (
    SELECT 'maintenance:' || reference AS source, planned_start_at - history_date AS lead,
           max(planned_start_at) OVER later AS since, min(planned_end_at) OVER later AS until
    FROM incidents_historicalmaintenance
    WHERE announced_at IS NOT NULL AND history_type <> '-'
    WINDOW later AS (PARTITION BY id ORDER BY history_date, history_id
                     ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)
),
excused AS MATERIALIZED (
    SELECT m.component_id AS component, n.notice_days,
           range_agg(tstzrange(greatest(m.began_at, t.since),
                               least(coalesce(m.ended_at, %(at)s::timestamptz), t.until))) AS spans
    FROM status_impact m
    JOIN told t USING (source)
    JOIN (SELECT DISTINCT notice_days FROM rules) n ON t.lead >= make_interval(days => n.notice_days)
    WHERE m.component_id IN (SELECT component FROM hit)
      AND m.voided_at IS NULL
      AND greatest(m.began_at, t.since) < least(coalesce(m.ended_at, %(at)s::timestamptz), t.until)
    GROUP BY m.component_id, n.notice_days
),

-- --- what customers had -----------------------------------------------------------------------------------------

terms AS MATERIALIZED (
    SELECT t.id AS term, t.contract_id AS contract, a.zone, t.fee_minor, t.uses_everything,
           t.starts_on AS first_day, t.last_day + 1 AS after_day,
           -- So far away that it makes no difference where.
           t.starts_on < h.since::date - 3 AS began_before, coalesce(t.last_day > h.until::date + 3, true) AS goes_on
    FROM postmortems_term t JOIN asked a ON a.contract = t.contract_id CROSS JOIN horizon h
    WHERE t.starts_on <= h.until::date + 3 AND (t.last_day IS NULL OR t.last_day >= h.since::date - 3)
),
-- When days begin. Where midnight comes twice PostgreSQL takes the second: the offset of the day before tells the
-- first. Where it is skipped, PostgreSQL's answer is the moment at which the clocks jump.
midnights AS MATERIALIZED (
    SELECT zone, day,
           CASE WHEN first AT TIME ZONE zone = day::timestamp THEN first ELSE last END AS at
    FROM (SELECT zone, day, last,
                 (day::timestamp - ((last - interval '26 h') AT TIME ZONE zone
                                    - (last - interval '26 h') AT TIME ZONE 'UTC')) AT TIME ZONE 'UTC' AS first
          FROM (SELECT zone, day, day::timestamp AT TIME ZONE zone AS last
                FROM (SELECT zone, first_day AS day FROM asked
                      UNION SELECT zone, after_day FROM asked
                      UNION SELECT zone, first_day FROM terms WHERE NOT began_before
                      UNION SELECT zone, after_day FROM terms WHERE NOT goes_on) d) l) f
),
months AS MATERIALIZED (
    SELECT a.contract, a.customer, a.first_day, a.after_day, f.at AS since, u.at AS until
    FROM asked a
    JOIN midnights f ON f.zone = a.zone AND f.day = a.first_day
    JOIN midnights u ON u.zone = a.zone AND u.day = a.after_day
),
covers AS MATERIALIZED (
    SELECT t.term, t.contract, t.fee_minor, t.first_day, t.after_day, t.uses_everything, f.at AS since, u.at AS until
    FROM terms t
    LEFT JOIN midnights f ON NOT t.began_before AND f.zone = t.zone AND f.day = t.first_day
    LEFT JOIN midnights u ON NOT t.goes_on AND u.zone = t.zone AND u.day = t.after_day
),
used AS MATERIALIZED (
    SELECT term, array_agg(component) AS components
    FROM (SELECT c.term_id AS term, c.component_id AS component
          FROM postmortems_term_components c
          WHERE c.component_id IN (SELECT component FROM hit) AND c.term_id IN (SELECT term FROM terms)
          ORDER BY c.term_id, c.component_id) c
    GROUP BY term
),
choices AS MATERIALIZED (
    SELECT components, row_number() OVER () AS choice FROM (SELECT DISTINCT components FROM used) u
),
-- Contracts that are alike in all that matters had the same: it is found out once, for the first of them.
alike AS MATERIALIZED (
    SELECT m.contract, j.version, m.since, m.until, x.customer, c.began, c.ended, c.everything, c.choices
    FROM (SELECT contract, array_agg(since) AS began, array_agg(until) AS ended, array_agg(choice) AS choices,
                 array_agg(uses_everything) AS everything
          FROM (SELECT c.contract, c.since, c.until, c.uses_everything, h.choice
                FROM covers c LEFT JOIN used u USING (term) LEFT JOIN choices h USING (components)
                ORDER BY c.contract, c.first_day) c
          GROUP BY contract) c
    JOIN months m USING (contract)
    JOIN judged_by j USING (contract)
    LEFT JOIN (SELECT DISTINCT customer FROM excluded WHERE customer IS NOT NULL) x USING (customer)
),
profiles AS MATERIALIZED (
    SELECT min(contract) AS profile, array_agg(contract) AS contracts, version, since, until, customer
    FROM alike GROUP BY version, since, until, customer, began, ended, everything, choices
),
covered AS MATERIALIZED (
    SELECT p.profile, range_agg(tstzrange(c.since, c.until)) AS spans
    FROM profiles p JOIN covers c ON c.contract = p.profile
    GROUP BY p.profile
),
wears AS MATERIALIZED (
    SELECT p.profile, h.component, tstzrange(c.since, c.until) AS span
    FROM profiles p JOIN rules r USING (version) JOIN covers c ON c.contract = p.profile
    LEFT JOIN used u USING (term)
    JOIN hit h ON r.any_scope OR c.uses_everything OR h.component = ANY (u.components)
),
pieces AS MATERIALIZED (
    SELECT w.profile, h.incident, h.component, r.notice_days, r.any_scope,
           w.span * CASE WHEN r.by_word THEN o.told ELSE h.span END AS span
    FROM wears w
    JOIN profiles p USING (profile)
    JOIN rules r USING (version)
    JOIN hits h ON h.component = w.component AND (r.any_scope OR h.gravity >= r.least)
    JOIN outages o USING (incident)
    WHERE w.span && CASE WHEN r.by_word THEN o.told ELSE h.span END
),
had AS MATERIALIZED (
    SELECT profile, incident, range_agg(span) AS spans FROM pieces WHERE NOT any_scope
    GROUP BY profile, incident
    UNION ALL
    SELECT p.profile, o.incident, v.spans * tstzmultirange(CASE WHEN r.by_word THEN o.told ELSE o.happened END)
    FROM profiles p JOIN rules r USING (version) JOIN covered v USING (profile) JOIN outages o ON r.any_scope
),
-- Maintenance takes out what lay under it with all that was down; beside it, what was down by surprise counts.
foretold AS MATERIALIZED (
    SELECT p.profile, p.incident, range_agg(s) AS spans
    FROM pieces p JOIN excused x USING (component, notice_days), unnest(tstzmultirange(p.span) * x.spans) s
    GROUP BY p.profile, p.incident
),
surprises AS MATERIALIZED (
    SELECT p.profile, p.incident, range_agg(s) AS spans
    FROM pieces p JOIN foretold USING (profile, incident) LEFT JOIN excused x USING (component, notice_days),
    unnest(tstzmultirange(p.span) - coalesce(x.spans, '{}')) s
    GROUP BY p.profile, p.incident
),
down AS MATERIALIZED (
    SELECT h.profile, h.incident,
           h.spans - (coalesce(f.spans, '{}') - coalesce(s.spans, '{}')) - coalesce(e.spans, '{}')
             - coalesce(c.spans, '{}') AS spans
    FROM had h
    JOIN profiles p USING (profile)
    LEFT JOIN foretold f USING (profile, incident)
    LEFT JOIN surprises s USING (profile, incident)
    LEFT JOIN excluded e ON e.incident = h.incident AND e.customer IS NULL
    LEFT JOIN excluded c ON c.incident = h.incident AND c.customer = p.customer
    WHERE NOT isempty(h.spans)
),

-- --- which incidents are one outage -----------------------------------------------------------------------------

-- An incident reaches as far for everybody who had it, whatever of it does not count.
windows AS MATERIALIZED (
    SELECT d.profile, d.incident, o.family, CASE r.overlap WHEN 'each' THEN o.family END AS apart, o.running, span
    FROM down d
    JOIN outages o USING (incident)
    JOIN profiles p USING (profile)
    JOIN rules r USING (version)
    JOIN covered v USING (profile),
    unnest(v.spans * tstzmultirange(CASE WHEN r.by_word THEN o.told ELSE o.hull END)) span
),
-- Windows that overlap or touch are an island; where each incident stands by itself, within its family only.
shores AS MATERIALIZED (
    SELECT profile, incident, family, running,
           count(*) FILTER (WHERE is_new) OVER (PARTITION BY profile ORDER BY apart, since, incident) AS island
    FROM (SELECT profile, incident, family, running, apart, lower(span) AS since,
                 coalesce(lower(span) > max(upper(span)) OVER (
                     PARTITION BY profile, apart ORDER BY lower(span), incident
                     ROWS UNBOUNDED PRECEDING EXCLUDE CURRENT ROW), true) AS is_new
          FROM windows) w
),
-- A family on several islands makes them one.
bridges AS MATERIALIZED (
    SELECT DISTINCT profile, family, island
    FROM (SELECT profile, family, island, min(island) OVER of_family AS low, max(island) OVER of_family AS high
          FROM shores WINDOW of_family AS (PARTITION BY profile, family)) s
    WHERE low < high
),
crossings AS (
    SELECT profile, island, island AS reached FROM bridges
    UNION
    SELECT c.profile, c.island, o.island
    FROM crossings c
    JOIN bridges b ON b.profile = c.profile AND b.island = c.reached
    JOIN bridges o ON o.profile = b.profile AND o.family = b.family
),
mainlands AS MATERIALIZED (
    SELECT profile, island, min(reached) AS mainland FROM crossings GROUP BY profile, island
),
members AS MATERIALIZED (
    SELECT DISTINCT s.profile, s.incident, coalesce(m.mainland, s.island) AS outage, s.running
    FROM shores s LEFT JOIN mainlands m USING (profile, island)
),
over AS MATERIALIZED (
    -- What still runs is left out, with everything that is one outage with it.
    SELECT profile, incident, outage
    FROM (SELECT *, bool_or(running) OVER (PARTITION BY profile, outage) AS any_runs FROM members) m
    WHERE NOT any_runs
),

-- --- what they earn ---------------------------------------------------------------------------------------------

worse AS MATERIALIZED (
    SELECT profile, version, p.since, p.until, o.outage, rank, d.spans * b.spans AS spans
    FROM over o
    JOIN down d USING (profile, incident)
    JOIN profiles p USING (profile)
    JOIN (SELECT DISTINCT version, rank FROM tiers) t USING (version)
    JOIN bad b USING (incident, rank)
    WHERE NOT isempty(d.spans * b.spans)
),
together AS MATERIALIZED (
    SELECT profile, version, since, until, outage, rank, range_agg(span) AS spans
    FROM worse, unnest(worse.spans) span
    GROUP BY profile, version, since, until, outage, rank
),
lengths AS MATERIALIZED (
    SELECT t.profile, t.version, t.outage, t.rank, l.earlier, l.by_end
    FROM together t,
    LATERAL (SELECT coalesce(sum(least(upper(s), t.since) - lower(s)) FILTER (WHERE lower(s) < t.since), interval '0')
                        AS earlier,
                    coalesce(sum(least(upper(s), t.until) - lower(s)) FILTER (WHERE lower(s) < t.until), interval '0')
                        AS by_end
             FROM unnest(t.spans) s) l
),
earned AS MATERIALIZED (
    -- A threshold is passed by the whole outage; its credit belongs to the month in which it was.
    SELECT l.profile, l.outage,
           coalesce(max(t.points) FILTER (WHERE l.by_end > t.longer_than), 0)
             - coalesce(max(t.points) FILTER (WHERE l.earlier > t.longer_than), 0) AS points
    FROM lengths l JOIN tiers t ON t.version = l.version AND t.rank = l.rank AND t.measure = 'duration'
    GROUP BY l.profile, l.outage
),
by_outages AS MATERIALIZED (
    SELECT p.profile, CASE r.stacking WHEN 'highest' THEN max(e.points) ELSE sum(e.points) END AS points
    FROM earned e JOIN profiles p USING (profile) JOIN rules r USING (version)
    GROUP BY p.profile, r.stacking
),
in_month AS MATERIALIZED (
    SELECT p.profile, (SELECT sum(upper(s) - lower(s))
                       FROM unnest(v.spans * tstzmultirange(tstzrange(p.since, p.until))) s) AS length
    FROM profiles p JOIN covered v USING (profile)
    WHERE p.version IN (SELECT version FROM tiers WHERE measure = 'uptime')
),
down_in_month AS MATERIALIZED (
    SELECT profile, rank, (SELECT sum(upper(s) - lower(s)) FROM unnest(spans) s) AS length
    FROM (SELECT t.profile, t.rank, range_agg(span * tstzrange(t.since, t.until)) AS spans
          FROM together t, unnest(t.spans) span
          WHERE t.version IN (SELECT version FROM tiers WHERE measure = 'uptime')
          GROUP BY t.profile, t.rank) d
),
by_uptime AS MATERIALIZED (
    SELECT p.profile, max(t.points) AS points
    FROM profiles p
    JOIN in_month m USING (profile)
    JOIN tiers t ON t.version = p.version AND t.measure = 'uptime'
    LEFT JOIN down_in_month d ON d.profile = p.profile AND d.rank = t.rank
    WHERE m.length > interval '0'
      AND extract(epoch FROM m.length - coalesce(d.length, interval '0')) * 100000
          < t.below * extract(epoch FROM m.length)
    GROUP BY p.profile
),
points AS MATERIALIZED (
    SELECT p.profile, p.contracts, r.by_day, r.cap,
           least(r.cap, CASE r.mix WHEN 'sum' THEN coalesce(o.points, 0) + coalesce(u.points, 0)
                                   ELSE greatest(o.points, u.points, 0) END)::numeric AS points
    FROM profiles p
    JOIN rules r USING (version)
    LEFT JOIN by_outages o USING (profile)
    LEFT JOIN by_uptime u USING (profile)
),

-- --- and what that is in money ----------------------------------------------------------------------------------

rated AS MATERIALIZED (
    SELECT contract, p.points, p.by_day, p.cap FROM points p, unnest(p.contracts) contract WHERE p.points > 0
),
bases AS MATERIALIZED (
    SELECT r.contract, r.points, r.cap,
           -- Over ten thousand hundredths of a percent; the whole of the month is its days or its microseconds.
           10000 * CASE WHEN r.by_day THEN m.after_day - m.first_day
                        ELSE extract(epoch FROM m.until - m.since) * 1000000 END AS whole,
           sum(c.fee_minor * CASE WHEN r.by_day
               THEN greatest(0, least(c.after_day, m.after_day) - greatest(c.first_day, m.first_day))
               ELSE greatest(0, extract(epoch FROM least(c.until, m.until) - greatest(c.since, m.since)) * 1000000)
               END) AS fee
    FROM rated r JOIN months m USING (contract) JOIN covers c USING (contract)
    GROUP BY r.contract, r.points, r.cap, r.by_day, m.first_day, m.after_day, m.since, m.until
),
granted AS MATERIALIZED (
    SELECT m.contract_id AS contract, sum(c.amount_minor) AS amount
    FROM postmortems_credit c
    JOIN postmortems_contractmonth m ON m.id = c.contract_month_id AND m.month = %(month)s::date
    LEFT JOIN postmortems_credit r ON r.id = c.reverses_id
    WHERE (c.kind = 'goodwill' AND c.state IN ('proposed', 'second', 'decision', 'approved', 'exported', 'applied'))
       OR (c.kind = 'reversal' AND r.kind = 'goodwill' AND c.state IN ('approved', 'exported', 'applied'))
    GROUP BY m.contract_id
)
-- One rounding, half up; goodwill counts towards the cap.
SELECT a.contract,
       coalesce(least(div(2 * b.fee * b.points + b.whole, 2 * b.whole),
                      greatest(0, div(2 * b.fee * b.cap + b.whole, 2 * b.whole) - greatest(0, coalesce(g.amount, 0)))),
                0)::bigint AS amount_minor
FROM asked a
LEFT JOIN bases b USING (contract)
LEFT JOIN granted g USING (contract)
ORDER BY a.contract
