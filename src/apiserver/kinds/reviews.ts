/** Kinds that are asked with and answered at once, never kept: see rest/access-reviews.ts. */

export interface ReviewKind {
  group: string;
  version: string;
  kind: 'SelfSubjectAccessReview' | 'SelfSubjectRulesReview' | 'SubjectAccessReview';
  plural: string;
}

const authorization = { group: 'authorization.k8s.io', version: 'v1' } as const;

export const REVIEWS: readonly ReviewKind[] = [
  { ...authorization, kind: 'SelfSubjectAccessReview', plural: 'selfsubjectaccessreviews' },
  { ...authorization, kind: 'SelfSubjectRulesReview', plural: 'selfsubjectrulesreviews' },
  { ...authorization, kind: 'SubjectAccessReview', plural: 'subjectaccessreviews' },
];
