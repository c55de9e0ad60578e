-- Who records a consent may not read by it: that is a rule for what permits. A denial, and a consent that is closed, may name its
-- recorder. Rules as in V0002.

alter table region.consent
    drop constraint consent_check1,
    add constraint consent_recorder_check
        check (not permits or status = 'inactive' or not recorder = any (grantees));
