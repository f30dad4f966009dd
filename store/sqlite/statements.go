package sqlite

// writeQueries are the statements of transactions that write.
func writeQueries() []string {
	return append(auditQueries(),
		insertSQL, insertUndoSQL, consumeTokenSQL, consumeReplaySQL, refusalsSQL,
		revocationInsertSQL, revocationExistsSQL, revocationNumberNextSQL, revocationNumberTouchSQL,
		blockedKeyInsertSQL, blockedKeysInsertSQL, selectedByIdentitySQL,
		entryInsertSQL, entryDeleteSQL, entryVersionBumpSQL, tokenInsertSQL,
		leaseAcquireSQL, leaseReleaseSQL, fenceSQL, acknowledgeSQL, acknowledgeReplacedSQL, ackDeleteSQL, pruneAcksSQL,
		generationFirstSQL, generationNextSQL, authoritiesDeleteSQL, authorityInsertSQL, incidentPutSQL,
		pruneCertificatesSQL, pruneRevocationsSQL, pruneTokensSQL, pruneReplaysSQL, pingSQL,
		collectSQL, pruneCollectedSQL, figuresSaveSQL,
		crlFirstSQL, crlNextSQL, pruneCRLsSQL,
		keyIntentInsertSQL, keyIntentClaimSQL, keyIntentDeleteSQL, keyIntentsDoomSQL, keyIntentsHeldSQL, keyHeldSQL, keysReleaseSQL,
		authorityRequestInsertSQL, authorityRequestDeleteSQL, authorityRequestClaimSQL,
		milestoneReachSQL,
		replicaPutSQL, replicaDeleteSQL, pruneReplicasSQL,
		mtlsVersionNextSQL, mtlsPolicyVersionSQL, mtlsPolicyPutSQL, mtlsPolicyDeleteSQL, mtlsPolicyCountsSQL,
		mtlsOverrideInsertSQL, mtlsOverridesCountSQL, mtlsOverrideEndSQL, mtlsOverrideSQL,
		mtlsReportSQL, pruneMTLSReportsSQL, pruneMTLSOverridesSQL,
	)
}

// auditQueries are the statements that add rows to the audit.
func auditQueries() []string {
	return []string{auditInsertSQL, auditHeadSQL, auditLooseSQL, auditCoverSQL, auditSeqsSQL}
}

// readQueries are the statements that only read.
func readQueries() []string {
	return []string{
		recordSQL, recordsSQL, recordsByIdentitySQL, recordsByIssuerSQL, recordsRevokedSQL,
		entrySQL, entriesSQL, entryVersionSQL, tokenSQL, generationSQL, auditsSQL, auditsOldestSQL,
		generationNumberSQL, factsIssuersSQL, factsFollowersSQL, factsRestoredSQL,
		selectedByIssuerSQL, selectedByKeySQL, issuerActiveSQL, revocationsSinceSQL, revocationNumberSQL,
		identitiesSQL, watchedSQL, liveCountsSQL, holdingsSQL, newestSQL, figuresSQL,
		incidentSQL, incidentsSQL, incidentsOpenSQL, dependentsSQL,
		crlsSQL, crlSQL, crlNumberSQL, crlEntriesSQL,
		keyIntentsDoomedSQL, authorityRequestSQL, milestoneSQL,
		mtlsVersionSQL, mtlsPoliciesSQL, mtlsOverridesSQL, mtlsReportsSQL, mtlsReportsCountSQL,
		schemaVersionSQL, leaseStatesSQL, entryUsesSQL, replicasSQL,
	}
}

// restoreQueries are the statements of a restore that hold for every schema from which there are
// backups.
func restoreQueries() []string {
	return []string{
		restoredGenerationSQL, restoredRootsSQL, restoredRevocationsSQL, restoredLeasesSQL, restoredEntriesSQL, restoredMTLSSQL, restoredIntentsSQL,
		milestoneReachSQL,
	}
}
