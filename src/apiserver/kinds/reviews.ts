/** Kinds that are asked with and answered at once, never kept: see rest/access-reviews.ts. */

export interface ReviewKind {
  group: string;
  version: string;
  kind: 'SelfSubjectAccessReview' | 'SelfSubjectReview' | 'SelfSubjectRulesReview' | 'SubjectAccessReview';
  plural: string;
}

const whoAmI = { group: 'authentication.k8s.io', kind: 'SelfSubjectReview', plural: 'selfsubjectreviews' } as const;
const authorization = { group: 'authorization.k8s.io', version: 'v1' } as const;

export const REVIEWS: readonly ReviewKind[] = [
  { ...whoAmI, version: 'v1' },
  // What kubectl 1.27 asks for.
  { ...whoAmI, version: 'v1beta1' },
  { ...authorization, kind: 'SelfSubjectAccessReview', plural: 'selfsubjectaccessreviews' },
  { ...authorization, kind: 'SelfSubjectRulesReview', plural: 'selfsubjectrulesreviews' },
  { ...authorization, kind: 'SubjectAccessReview', plural: 'subjectaccessreviews' },
];
